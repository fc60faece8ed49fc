package team

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/openai/openai-go/v3"

	"github.com/mindscope/mindscope/sdk"
	"github.com/mindscope/mindscope/sdk/mindbus"
)

// callError names the class of a failed call for error.type: the status, or timeout.
type callError struct {
	error
	class string
}

func (e callError) Unwrap() error     { return e.error }
func (e callError) ErrorType() string { return e.class }

// ask asks a model, streamed or not. The span covers the client's retries.
func (t *Team) ask(ctx context.Context, model, system, user string, streamed bool) (text string, m mindbus.Metrics, err error) {
	ctx, call := sdk.StartLLM(ctx, "openai", model)
	defer call.End(&err)
	ctx, cancel := context.WithTimeout(ctx, t.cfg.CallTimeout)
	defer cancel()
	params := openai.ChatCompletionNewParams{
		Model:    model,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.SystemMessage(system), openai.UserMessage(user)},
	}
	call.Input([]message{{"system", system}, {"user", user}})
	var answer *openai.ChatCompletion
	if streamed {
		answer, err = t.stream(ctx, call, params)
	} else {
		answer, err = t.llm.Chat.Completions.New(ctx, params)
	}
	if err != nil {
		return "", m, classify(ctx, err)
	}
	if len(answer.Choices) == 0 {
		return "", m, errors.New("the model answered without a choice")
	}
	choice := answer.Choices[0]
	call.Response(answer.Model, answer.ID, choice.FinishReason)
	call.Usage(sdk.Usage{
		Input: int(answer.Usage.PromptTokens), Output: int(answer.Usage.CompletionTokens),
		CacheRead: int(answer.Usage.PromptTokensDetails.CachedTokens),
		Reasoning: int(answer.Usage.CompletionTokensDetails.ReasoningTokens),
	})
	call.Output([]message{{"assistant", choice.Message.Content}})
	return choice.Message.Content, mindbus.Metrics{Model: answer.Model, TokensUsed: answer.Usage.TotalTokens}, nil
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

func (t *Team) stream(ctx context.Context, call *sdk.LLM, params openai.ChatCompletionNewParams) (*openai.ChatCompletion, error) {
	params.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
	s := t.llm.Chat.Completions.NewStreaming(ctx, params)
	defer func() { _ = s.Close() }() // Err has said what went wrong
	var acc openai.ChatCompletionAccumulator
	for s.Next() {
		call.Chunk()
		if !acc.AddChunk(s.Current()) {
			return nil, errors.New("a chunk of the stream does not fit the ones before")
		}
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	return &acc.ChatCompletion, nil
}

func classify(ctx context.Context, err error) error {
	var api *openai.Error
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return callError{fmt.Errorf("the model did not answer in time: %w", context.DeadlineExceeded), "timeout"}
	case errors.As(err, &api):
		return callError{fmt.Errorf("the model refused with status %d", api.StatusCode), strconv.Itoa(api.StatusCode)}
	}
	return fmt.Errorf("ask the model: %w", err)
}
