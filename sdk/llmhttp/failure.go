package llmhttp

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// callError is what a provider refused a call with. It is recorded on the call's span and never returned: the client that
// made the call gets the answer as it came.
type callError struct {
	status       int
	class, cause string
}

// Error implements error.
func (e *callError) Error() string {
	text := "the model's provider reported an error"
	if e.status >= 300 {
		text = "the model's provider refused with status " + strconv.Itoa(e.status)
	}
	if e.cause != "" {
		text += ": " + e.cause
	}
	return text
}

// ErrorType implements sdk.ErrorTyper: the provider's own code where it has the form of one, else the status.
func (e *callError) ErrorType() string {
	if isCode(e.class) {
		return e.class
	}
	if e.status >= 300 {
		return strconv.Itoa(e.status)
	}
	return "error"
}

// isCode tells whether text is the name of a class, of which there are few, and not a sentence.
func isCode(text string) bool {
	if text == "" || len(text) > 64 {
		return false
	}
	letters := false
	for _, c := range []byte(text) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			letters = true
		case c >= '0' && c <= '9', c == '_', c == '-', c == '.':
		default:
			return false
		}
	}
	return letters
}

// maxCause bounds what is kept of an error's message: it may repeat the prompt.
const maxCause = 512

// failed is what the providers' errors have in common.
type failed struct {
	Type    text            `json:"type"`
	Code    text            `json:"code"`
	Status  text            `json:"status"`
	Message text            `json:"message"`
	Error   json.RawMessage `json:"error"`
}

// failure reads an error's body or event.
func (a *answer) failure(name string, data []byte) {
	if a.err == nil {
		a.err = &callError{}
	}
	if strings.HasSuffix(name, "Exception") {
		a.err.class = strings.ToUpper(name[:1]) + name[1:]
	}
	var f failed
	decode(data, &f)
	var inner failed
	if decode(f.Error, &inner); inner.empty() {
		var message text
		decode(f.Error, &message)
		inner = f
		if message != "" {
			inner = failed{Message: message}
		}
	}
	a.err.take(inner)
}

func (f failed) empty() bool {
	return f.Type == "" && f.Code == "" && f.Status == "" && f.Message == ""
}

// take keeps the most exact class: Google's status, OpenAI's code, Anthropic's type.
func (e *callError) take(f failed) {
	for _, class := range []text{f.Status, f.Code, f.Type} {
		if e.class == "" && isCode(string(class)) {
			e.class = string(class)
		}
	}
	if f.Message != "" {
		e.cause = cut(string(f.Message), maxCause)
	}
}

// error returns what the call failed with, nil when it did not.
func (a *answer) error(status int) error {
	if a.err == nil && status < 300 {
		return nil
	}
	if a.err == nil {
		a.err = &callError{}
	}
	a.err.status = status
	return a.err
}

// headers reads what an answer says before its body: AWS names errors and counts tokens there.
func (a *answer) headers(h http.Header) {
	if class, _, _ := strings.Cut(h.Get("X-Amzn-Errortype"), ":"); class != "" {
		a.err = &callError{class: class}
	}
	in, errIn := strconv.Atoi(h.Get("X-Amzn-Bedrock-Input-Token-Count"))
	out, errOut := strconv.Atoi(h.Get("X-Amzn-Bedrock-Output-Token-Count"))
	if errIn == nil && errOut == nil && in >= 0 && out >= 0 {
		a.usage.Input, a.usage.Output, a.counted = in, out, true
	}
}
