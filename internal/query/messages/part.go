package messages

import (
	"encoding/base64"
	"strings"
)

// partsOf reads a message's content: a text or a list of parts.
func partsOf(n node) []Part {
	switch {
	case n.empty():
		return nil
	case n.is('"'):
		return textPart(n.text())
	case n.is('['):
		var out []Part
		for _, item := range n.list() {
			if m := item.object(); m != nil {
				out = append(out, part(item, m)...)
			} else {
				out = append(out, looseText(item)...)
			}
		}
		return out
	case n.is('{'):
		return part(n, n.object())
	default:
		return rawPart(n.value())
	}
}

// part reads one part of a content in the shapes of OpenTelemetry, OpenAI, Anthropic, Gemini, Bedrock, Vercel, Genkit and
// OpenInference. Other shapes come back as they came.
func part(n node, m map[string]node) []Part {
	if inner := m["message_content"].object(); inner != nil { // OpenInference
		return part(m["message_content"], inner)
	}
	kind := strings.ToLower(strings.ReplaceAll(m["type"].text(), "-", "_"))
	switch kind {
	case "text", "input_text", "output_text", "summary_text", "refusal":
		if s := pick(m, "text", "content", "refusal").text(); s != "" {
			return textPart(s)
		}
	case "reasoning", "thinking", "redacted_thinking", "reasoning_text":
		if s := reasoning(m); s != "" {
			return []Part{{Kind: Reasoning, Text: s}}
		}
	case "tool_call", "tool_use", "function_call", "server_tool_call", "server_tool_use", "mcp_call", "mcp_tool_use":
		return []Part{call(m)}
	case "tool_call_response", "tool_result", "function_call_output", "server_tool_call_response", "function_response", "mcp_tool_result":
		return []Part{result(m)}
	case "message":
		return partsOf(m["content"])
	case "":
		if p := untyped(m); p != nil {
			return p
		}
	}
	if ref := media(kind, m); ref != nil {
		return []Part{{Kind: Media, Media: ref}}
	}
	return rawPart(n.value())
}

func reasoning(m map[string]node) string {
	if s := pick(m, "content", "thinking", "text", "reasoning").text(); s != "" {
		return s
	}
	return readable(pick(m, "summary", "content"))
}

func result(m map[string]node) Part {
	n := pick(m, "response", "result", "output", "content")
	value := n.value()
	text := readable(n)
	if n.is('"') {
		text = value
	}
	return Part{
		Kind: ToolResult, ID: pick(m, "id", "call_id", "tool_use_id", "toolUseId", "toolCallId", "ref", "tool_call_id").value(),
		Tool: pick(m, "name", "toolName", "tool_name").text(), Text: text, Value: value,
	}
}

// untyped reads the parts of those who name the kind by a member: Gemini, Bedrock, Genkit, any-agent.
func untyped(m map[string]node) []Part {
	for _, name := range []string{"function_call", "functionCall", "toolRequest", "toolUse"} {
		if f := m[name].object(); f != nil {
			return []Part{call(f)}
		}
	}
	for _, name := range []string{"function_response", "functionResponse", "toolResponse", "toolResult"} {
		if f := m[name].object(); f != nil {
			return []Part{result(f)}
		}
	}
	if r := m["reasoningContent"].object(); r != nil {
		return []Part{{Kind: Reasoning, Text: pick(r["reasoningText"].object(), "text").text()}}
	}
	if s := m["text"].text(); s != "" {
		if m["thought"].text() == "true" {
			return []Part{{Kind: Reasoning, Text: s}}
		}
		return textPart(s)
	}
	if s := m["reasoning"].text(); s != "" {
		return []Part{{Kind: Reasoning, Text: s}}
	}
	if m["tool.name"].raw != nil {
		return []Part{call(m)}
	}
	return nil
}

// media reads a reference to content that is no text; nil when there is none.
func media(kind string, m map[string]node) *Reference {
	ref := &Reference{Modality: m["modality"].text(), Type: pick(m, "mime_type", "mimeType", "mediaType", "media_type", "contentType").text()}
	ref.File = pick(m, "file_id", "fileId").text()
	inner := m
	for _, name := range []string{
		"image_url", "image", "source", "input_audio", "audio", "file", "inline_data", "inlineData", "file_data", "fileData",
		"media", "document", "video",
	} {
		n, ok := m[name]
		if !ok {
			continue
		}
		if ref.Modality == "" {
			ref.Modality = modality(name)
		}
		if s := n.text(); s != "" {
			ref.point(s)
			continue
		}
		if o := n.object(); o != nil {
			inner = o
			for _, deeper := range []string{"image", "source"} { // OpenInference, Bedrock
				if d := o[deeper].object(); d != nil {
					inner = d
				}
			}
		}
	}
	if ref.Type == "" {
		ref.Type = pick(inner, "mime_type", "mimeType", "mediaType", "media_type", "contentType").text()
	}
	if ref.File == "" {
		ref.File = pick(inner, "file_id", "fileId", "filename").text()
	}
	ref.point(pick(inner, "url", "uri", "file_uri", "fileUri", "file_data").text())
	if ref.URI == "" && ref.Bytes == 0 {
		ref.size(pick(inner, "data", "bytes").text())
	}
	if kind == "blob" {
		ref.size(m["content"].text())
	}
	if ref.URI == "" && ref.File == "" && ref.Bytes == 0 {
		return nil
	}
	if ref.Modality == "" {
		ref.Modality = modality(kind)
	}
	if major, _, ok := strings.Cut(ref.Type, "/"); ok && ref.Modality == "" {
		ref.Modality = modality(major)
	}
	return ref
}

// modality returns the kind of media that a name speaks of.
func modality(name string) string {
	for _, kind := range []string{"image", "audio", "video", "document"} {
		if strings.Contains(name, kind) {
			return kind
		}
	}
	return ""
}

// point sets where the media are. A data: URI holds them itself; then only their type and size are kept.
func (r *Reference) point(uri string) {
	if uri == "" {
		return
	}
	rest, ok := strings.CutPrefix(uri, "data:")
	if !ok {
		if strings.Contains(uri, "://") || strings.HasPrefix(uri, "/") {
			r.URI = uri
			return
		}
		r.size(uri)
		return
	}
	head, body, _ := strings.Cut(rest, ",")
	if r.Type == "" {
		r.Type, _, _ = strings.Cut(head, ";")
	}
	r.size(body)
}

func (r *Reference) size(body string) {
	if body == "" {
		return
	}
	r.Bytes = base64.RawStdEncoding.DecodedLen(len(strings.TrimRight(body, "=")))
}
