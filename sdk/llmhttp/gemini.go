package llmhttp

import (
	"cmp"
	"encoding/json"

	"github.com/mindscope/mindscope/sdk"
)

// gemini reads Google's generateContent, of Gemini's API and of Vertex AI.
type gemini struct{}

// geminiContent is a message. Google writes names in camel case and reads them in snake case as well.
type geminiContent struct {
	Role  string            `json:"role"`
	Parts []json.RawMessage `json:"parts"`
}

func (gemini) request(body []byte, q *question) {
	var r struct {
		System      geminiContent   `json:"systemInstruction"`
		SystemSnake geminiContent   `json:"system_instruction"`
		Contents    []geminiContent `json:"contents"`
		Content     geminiContent   `json:"content"`
		Config      struct {
			MaxTokens   tokens   `json:"maxOutputTokens"`
			Temperature *float64 `json:"temperature"`
		} `json:"generationConfig"`
	}
	decode(body, &r)
	q.maxTokens, q.temperature = r.Config.MaxTokens, r.Config.Temperature
	q.instruct(r.System.read()...)
	q.instruct(r.SystemSnake.read()...)
	for _, c := range append(r.Contents, r.Content) {
		role := cmp.Or(c.Role, "user")
		if role == "model" {
			role = "assistant"
		}
		parts := c.read()
		if len(parts) > 0 && parts[0].kind == toolResponse {
			role = "tool"
		}
		q.add(role, parts...)
	}
}

func (c geminiContent) read() []*part {
	var parts []*part
	for _, raw := range c.Parts {
		if p := geminiPart(raw); p != nil {
			parts = append(parts, p)
		}
	}
	return parts
}

func geminiPart(raw json.RawMessage) *part {
	var p struct {
		Text    *string `json:"text"`
		Thought bool    `json:"thought"`
		Call    *struct {
			ID   string          `json:"id"`
			Name string          `json:"name"`
			Args json.RawMessage `json:"args"`
		} `json:"functionCall"`
		Response *struct {
			ID       string          `json:"id"`
			Response json.RawMessage `json:"response"`
		} `json:"functionResponse"`
		Inline *struct {
			Mime string `json:"mimeType"`
			Data string `json:"data"`
		} `json:"inlineData"`
		File *struct {
			Mime string `json:"mimeType"`
			URI  string `json:"fileUri"`
		} `json:"fileData"`
		Code *struct {
			Code string `json:"code"`
		} `json:"executableCode"`
		Ran *struct {
			Output string `json:"output"`
		} `json:"codeExecutionResult"`
	}
	decode(raw, &p)
	switch {
	case p.Text != nil && p.Thought:
		return &part{kind: reasoningPart, content: []byte(*p.Text)}
	case p.Text != nil:
		return &part{kind: textPart, content: []byte(*p.Text)}
	case p.Call != nil:
		return &part{kind: toolCall, id: p.Call.ID, name: p.Call.Name, content: p.Call.Args}
	case p.Response != nil:
		return &part{kind: toolResponse, id: p.Response.ID, content: p.Response.Response}
	case p.Inline != nil:
		return &part{kind: blobPart, mime: p.Inline.Mime, content: []byte(p.Inline.Data)}
	case p.File != nil:
		return media(p.File.Mime, p.File.URI)
	case p.Code != nil:
		return &part{kind: toolCall, name: "code_execution", content: []byte(p.Code.Code)}
	case p.Ran != nil:
		return &part{kind: toolResponse, content: []byte(p.Ran.Output)}
	}
	return nil
}

func (gemini) event(_ string, data []byte, a *answer) {
	var r struct {
		Candidates []struct {
			Index   int           `json:"index"`
			Content geminiContent `json:"content"`
			Finish  text          `json:"finishReason"`
		} `json:"candidates"`
		Feedback struct {
			Block text `json:"blockReason"`
		} `json:"promptFeedback"`
		Usage *geminiUsage    `json:"usageMetadata"`
		Model string          `json:"modelVersion"`
		ID    string          `json:"responseId"`
		Error json.RawMessage `json:"error"`
	}
	decode(data, &r)
	a.named(r.Model, r.ID)
	for _, c := range r.Candidates {
		if a.keep {
			a.add(c.Index, c.Content.read()...)
		}
		a.ended(c.Index, geminiReason(c.Finish))
	}
	a.ended(0, string(r.Feedback.Block))
	r.Usage.report(a)
	if len(r.Error) > 0 {
		a.failure("", data)
	}
}

// geminiReason returns a reason's name, which some clients ask for as a number.
func geminiReason(t text) string {
	switch t {
	case "1":
		return "STOP"
	case "2":
		return "MAX_TOKENS"
	case "3":
		return "SAFETY"
	case "4":
		return "RECITATION"
	}
	return string(t)
}

// geminiUsage counts thoughts beside the answer, and what tools gave beside the prompt.
type geminiUsage struct {
	Prompt     *tokens `json:"promptTokenCount"`
	Candidates *tokens `json:"candidatesTokenCount"`
	Thoughts   tokens  `json:"thoughtsTokenCount"`
	Tools      tokens  `json:"toolUsePromptTokenCount"`
	Cached     tokens  `json:"cachedContentTokenCount"`
}

func (u *geminiUsage) report(a *answer) {
	if u == nil || u.Prompt == nil && u.Candidates == nil {
		return
	}
	a.took(sdk.Usage{
		Input: u.Prompt.n() + int(u.Tools), CacheRead: int(u.Cached),
		Output: u.Candidates.n() + int(u.Thoughts), Reasoning: int(u.Thoughts),
	})
}
