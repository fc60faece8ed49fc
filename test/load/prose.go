package load

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// vocabularySize is how many words there are. With Zipf's law among them a text packs about as well as English does.
const vocabularySize = 12_000

// frequent are the words that every text is full of.
const frequent = `the of and to in a is that for it as was with be by on not he this are or his from at which but have an they
you were their one all we can has there been if more when will would who so no out up into do any your what some could them time
than only its now then may other new these two first should such after people make over did like well also most between must
because where just how use very work each system data model agent task result file test value state error list return name type
function change check step build note source text number part call under order plan set open read write while next last same`

// prose writes texts of words that look like a language's, from a source of random numbers.
type prose struct {
	rng   *rand.Rand
	words []string
	// dice holds the numbers of words, each as often as the word is frequent.
	dice []uint16
}

func newProse(seed uint64) *prose {
	p := &prose{rng: rand.New(rand.NewPCG(seed, 0x5eed)), words: strings.Fields(frequent)}
	known := map[string]bool{}
	for _, w := range p.words {
		known[w] = true
	}
	for len(p.words) < vocabularySize {
		if w := p.invent(); !known[w] {
			known[w] = true
			p.words = append(p.words, w)
		}
	}
	sum := 0.0
	for i := range p.words {
		sum += 1 / (float64(i) + 2.7)
	}
	for i := range p.words {
		share := 1 / (float64(i) + 2.7) / sum
		for range max(1, int(math.Round(share*(1<<16)))) {
			p.dice = append(p.dice, uint16(i))
		}
	}
	return p
}

// invent makes a word of two to four syllables.
func (p *prose) invent() string {
	onsets := [...]string{"b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "pl", "pr", "qu", "r", "s", "sh", "st", "str", "t", "th", "tr", "v", "w", ""}
	nuclei := [...]string{"a", "e", "i", "o", "u", "ai", "ea", "ee", "io", "ou", "y"}
	codas := [...]string{"", "", "n", "r", "s", "t", "l", "nd", "st", "ck", "ng", "m", "tion", "ment", "ive"}
	var b strings.Builder
	for range 2 + p.rng.IntN(3) {
		b.WriteString(onsets[p.rng.IntN(len(onsets))])
		b.WriteString(nuclei[p.rng.IntN(len(nuclei))])
		b.WriteString(codas[p.rng.IntN(len(codas))])
	}
	return b.String()
}

func (p *prose) word() string { return p.words[p.dice[p.rng.IntN(len(p.dice))]] }

// rare returns a word that is not among the most frequent ones.
func (p *prose) rare() string { return p.words[200+p.rng.IntN(len(p.words)-200)] }

// text returns about n bytes of sentences and paragraphs.
func (p *prose) text(n int) string {
	b := make([]byte, 0, n+64)
	for len(b) < n {
		b = p.sentence(b)
		if p.rng.IntN(6) == 0 {
			b = append(b, "\n\n"...)
			continue
		}
		b = append(b, ' ')
	}
	return strings.TrimSpace(string(b))
}

func (p *prose) sentence(b []byte) []byte {
	n := 5 + p.rng.IntN(18)
	for i := range n {
		w := p.word()
		if i == 0 {
			b = append(b, w[0]-'a'+'A')
			w = w[1:]
		} else {
			b = append(b, ' ')
		}
		b = append(b, w...)
		switch p.rng.IntN(24) {
		case 0:
			b = append(b, ',')
		case 1:
			b = append(b, ' ')
			b = strconv.AppendInt(b, int64(p.rng.IntN(3000)), 10)
		}
	}
	return append(b, '.')
}

// path returns the name of a file.
func (p *prose) path() string {
	return "internal/" + p.rare() + "/" + p.rare() + "_" + p.word() + ".go"
}

// code returns about n bytes of what tools show a coding agent: numbered source lines, or the output of tests.
func (p *prose) code(n int) string {
	b := make([]byte, 0, n+128)
	line := 1 + p.rng.IntN(400)
	for len(b) < n {
		b = strconv.AppendInt(b, int64(line), 10)
		line++
		b = append(b, '\t')
		switch p.rng.IntN(6) {
		case 0:
			b = append(b, "\tif "+p.word()+p.rare()+" := "+p.rare()+"."+p.word()+"("+p.word()+"); err != nil {"...)
		case 1:
			b = append(b, "\t\treturn fmt.Errorf(\""+p.word()+" "+p.rare()+": %w\", err)"...)
		case 2:
			b = append(b, "\t// "...)
			b = p.sentence(b)
		case 3:
			b = append(b, "\t"+p.rare()+" = append("+p.rare()+", "+p.word()+"["+strconv.Itoa(p.rng.IntN(64))+"])"...)
		case 4:
			b = append(b, "--- PASS: Test"+p.rare()+" (0."+strconv.Itoa(p.rng.IntN(100))+"s)  "+p.path()+":"+strconv.Itoa(p.rng.IntN(900))...)
		default:
			b = append(b, "\t"+p.word()+p.rare()+"."+p.rare()+"(\""+p.word()+"\", "+strconv.Itoa(p.rng.IntN(10_000))+")"...)
		}
		b = append(b, '\n')
	}
	return string(b)
}
