package llmhttp

import (
	"net/http"
	"net/url"
	"strings"
)

// route is what a request's address says of a call.
type route struct {
	dialect                    dialect
	operation, provider, model string
	stream                     bool
	agent                      string // of Bedrock
}

// dialect reads one wire format. Its methods get whatever was sent: what does not fit is left out.
type dialect interface {
	// request reads the body of a request.
	request(body []byte, q *question)
	// event reads an answer, or one event of a streamed one. name is the event's, "" where events have none.
	event(name string, data []byte, a *answer)
}

// endings are the paths of calls by their end.
var endings = []struct {
	path, operation, provider string
	dialect                   dialect
}{
	{"/chat/completions", "chat", "openai", openAI{}},
	{"/agents/completions", "chat", "mistral_ai", openAI{}},
	{"/fim/completions", "text_completion", "mistral_ai", openAI{}},
	{"/completions", "text_completion", "openai", openAI{}},
	{"/api/embeddings", "embeddings", "ollama", ollama{}},
	{"/embeddings", "embeddings", "openai", openAI{}},
	{"/responses", "chat", "openai", responses{}},
	{"/v1/messages", "chat", "anthropic", anthropic{}},
	{"/v1/complete", "text_completion", "anthropic", anthropic{}},
	{"/api/chat", "chat", "ollama", ollama{}},
	{"/api/generate", "text_completion", "ollama", ollama{}},
	{"/api/embed", "embeddings", "ollama", ollama{}},
	{"/v1/chat", "chat", "cohere", cohere{}},
	{"/v2/chat", "chat", "cohere", cohere{}},
	{"/v1/embed", "embeddings", "cohere", cohere{}},
	{"/v2/embed", "embeddings", "cohere", cohere{}},
	{"/rerank", "rerank", "cohere", cohere{}},
}

// routeOf tells which call a request is; false when it is none of a model.
func routeOf(req *http.Request) (route, bool) {
	if req.Method != http.MethodPost || req.URL == nil {
		return route{}, false
	}
	r, ok := byPath(req.URL)
	if !ok {
		return route{}, false
	}
	if p := providerOf(req.URL.Hostname()); p != "" && r.provider != "aws.bedrock" {
		r.provider = p
	}
	return r, true
}

func byPath(u *url.URL) (route, bool) {
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	segments := strings.Split(path, "/")
	last := segments[len(segments)-1]
	if r, ok := byMethod(segments, last); ok {
		return r, true
	}
	if r, ok := ofBedrock(segments); ok {
		return r, true
	}
	for _, e := range endings {
		if strings.HasSuffix(path, e.path) {
			r := route{dialect: e.dialect, operation: e.operation, provider: e.provider}
			r.model = after(segments, "deployments") // Azure's address for a model
			return r, true
		}
	}
	return route{}, false
}

// byMethod reads Google's addresses, which end in model:method.
func byMethod(segments []string, last string) (route, bool) {
	model, method, ok := strings.Cut(unescape(last), ":")
	if !ok {
		return route{}, false
	}
	r := route{dialect: gemini{}, operation: "generate_content", provider: "gcp.gemini", model: model}
	switch method {
	case "generateContent":
	case "streamGenerateContent":
		r.stream = true
	case "embedContent", "batchEmbedContents":
		r.operation = "embeddings"
	case "rawPredict", "streamRawPredict":
		// Counting tokens has the address of a model.
		if after(segments, "publishers") != "anthropic" || model == "count-tokens" {
			return route{}, false
		}
		r.dialect, r.operation, r.provider, r.stream = anthropic{}, "chat", "gcp.vertex_ai", method == "streamRawPredict"
	default:
		return route{}, false
	}
	if after(segments, "publishers") != "" {
		r.provider = "gcp.vertex_ai"
	}
	return r, true
}

func ofBedrock(segments []string) (route, bool) {
	r := route{operation: "chat", provider: "aws.bedrock"}
	n := len(segments)
	if n >= 7 && segments[n-7] == "agents" && segments[n-5] == "agentAliases" && segments[n-3] == "sessions" {
		r.dialect, r.operation, r.agent, r.stream = bedrockAgent{}, "invoke_agent", unescape(segments[n-6]), true
		return r, true
	}
	if n < 3 || segments[n-3] != "model" {
		return route{}, false
	}
	r.model = unescape(segments[n-2])
	switch segments[n-1] {
	case "converse":
		r.dialect = converse{}
	case "converse-stream":
		r.dialect, r.stream = converse{}, true
	case "invoke":
		r.dialect = familyOf(r.model)
	case "invoke-with-response-stream":
		r.dialect, r.stream = familyOf(r.model), true
	default:
		return route{}, false
	}
	return r, true
}

// after returns the segment that follows name, "" when there is none.
func after(segments []string, name string) string {
	for i, s := range segments[:len(segments)-1] {
		if s == name {
			return unescape(segments[i+1])
		}
	}
	return ""
}

func unescape(segment string) string {
	if s, err := url.PathUnescape(segment); err == nil {
		return s
	}
	return segment
}

// hosts are providers by the end of their hosts' names.
var hosts = []struct{ suffix, provider string }{
	{"api.openai.com", "openai"},
	{"openai.azure.com", "azure.ai.openai"},
	{"cognitiveservices.azure.com", "azure.ai.openai"},
	{"services.ai.azure.com", "azure.ai.inference"},
	{"models.ai.azure.com", "azure.ai.inference"},
	{"api.anthropic.com", "anthropic"},
	{"generativelanguage.googleapis.com", "gcp.gemini"},
	{"aiplatform.googleapis.com", "gcp.vertex_ai"},
	{"api.mistral.ai", "mistral_ai"},
	{"api.cohere.com", "cohere"},
	{"api.cohere.ai", "cohere"},
	{"api.groq.com", "groq"},
	{"api.deepseek.com", "deepseek"},
	{"api.x.ai", "x_ai"},
	{"api.perplexity.ai", "perplexity"},
	{"ml.cloud.ibm.com", "ibm.watsonx.ai"},
	{"api.together.ai", "together"},
	{"api.together.xyz", "together"},
	{"openrouter.ai", "openrouter"},
	{"api.fireworks.ai", "fireworks"},
	{"api.cerebras.ai", "cerebras"},
}

func providerOf(host string) string {
	for _, h := range hosts {
		if rest, ok := strings.CutSuffix(host, h.suffix); ok && (rest == "" || strings.HasSuffix(rest, ".") || strings.HasSuffix(rest, "-")) {
			return h.provider
		}
	}
	return ""
}
