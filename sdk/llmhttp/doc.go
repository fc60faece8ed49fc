// Package llmhttp makes the calls of a client of language models visible without a change to the code that makes them: it
// sits in the client's HTTP transport, reads requests and answers on the side and reports each attempt as a span with its
// model, tokens, finish reasons and errors.
//
//	client := openai.NewClient(option.WithMiddleware(llmhttp.Middleware()))
//	client := anthropic.NewClient(option.WithMiddleware(llmhttp.Middleware()))
//	client, err := genai.NewClient(ctx, &genai.ClientConfig{HTTPClient: llmhttp.Client(nil)})
//
// It understands OpenAI chat completions, completions, embeddings and responses and what is compatible with them (Azure,
// Mistral, Together, Groq, OpenRouter, …), Anthropic messages and completions, Gemini generateContent (Vertex AI included),
// Ollama, Bedrock (Converse, InvokeModel and InvokeAgent) and Cohere; answers as a whole and streamed, as server-sent
// events, AWS event streams, lines of JSON and arrays of JSON.
//
// A call is never changed, delayed or broken: the answer's bytes pass through as they come, what is kept of them beside
// is bounded, and a panic of the reading ends the reading only. The request gets the header traceparent and loses baggage,
// which would tell the provider of tasks and users. Content is kept when sdk.CaptureContent says so.
package llmhttp
