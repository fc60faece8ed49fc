package team

import "fmt"

// Assignment returns the i-th article of the demo: its task id and its topic. The words in brackets make the scripted
// model, or an agent, fail.
func Assignment(i int) (id, topic string) {
	topics := []string{
		"Bees in cities", "The history of tea", "Night trains [429 once]", "How bridges sing", "Salt",
		"Lighthouses [timeout]", "Chess by post", "The smell of rain", "Paper", "Ice roads [429]",
		"Clocks before time zones", "Moss", "Ferries", "Maps that lie [reject]", "Bread and microbes",
		"The last lamplighter", "Kites [panic]", "Deserts at night", "Counting whales", "Glass",
	}
	return fmt.Sprintf("task-%d", 401+i), topics[i%len(topics)]
}
