// Package llmclients makes clients of four providers whose calls are reported, each in one line.
package llmclients

import (
	"context"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"google.golang.org/genai"

	"github.com/mindscope/mindscope/sdk/llmhttp"
)

// OpenAI returns a client of OpenAI, or of what speaks like it.
func OpenAI(opts ...option.RequestOption) openai.Client {
	return openai.NewClient(append(opts, option.WithMiddleware(llmhttp.Middleware()))...)
}

// Anthropic returns a client of Anthropic.
func Anthropic(opts ...anthropicoption.RequestOption) anthropic.Client {
	return anthropic.NewClient(append(opts, anthropicoption.WithMiddleware(llmhttp.Middleware()))...)
}

// Gemini returns a client of Gemini.
func Gemini(ctx context.Context, cfg genai.ClientConfig) (*genai.Client, error) {
	cfg.HTTPClient = llmhttp.Client(nil)
	return genai.NewClient(ctx, &cfg)
}

// Bedrock returns a client of Bedrock's models.
func Bedrock(cfg aws.Config) *bedrockruntime.Client {
	cfg.HTTPClient = llmhttp.Client(nil)
	return bedrockruntime.NewFromConfig(cfg)
}
