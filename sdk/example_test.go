package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mindscope/mindscope/sdk"
)

// A task, an agent that works on it, its call of a model and of a tool.
func Example() {
	work := func(ctx context.Context) (err error) {
		ctx, task := sdk.StartTask(ctx, "task-456", sdk.TaskType("article"), sdk.Team("newsroom"),
			sdk.User("u-17"), sdk.Conversation("c-9"))
		defer task.End(&err) // completed, failed or cancelled, by what err is then

		ctx, agent := sdk.StartAgent(ctx, "writer")
		defer agent.End(&err)

		callCtx, call := sdk.StartLLM(ctx, "openai", "gpt-4o")
		_ = callCtx // is what the HTTP request is made with
		call.Usage(sdk.Usage{Input: 1204, Output: 812, CacheRead: 1024})
		call.Response("gpt-4o-2024-11-20", "chatcmpl-1", "stop")
		call.End(&err)

		_, tool := sdk.StartTool(ctx, "search", "call-1")
		tool.Arguments(map[string]string{"query": "bees"}) // kept when the capture of content is on
		tool.Result([]string{"Bees in cities"})
		tool.End(&err)

		agent.Quality(8)
		task.Quality(8.4)
		fmt.Println(task.ID(), sdk.TypeOfTask(ctx), sdk.TeamOf(ctx), sdk.AgentFrom(ctx))
		return nil
	}
	fmt.Println(work(context.Background()))
	// Output:
	// task-456 article newsroom writer
	// <nil>
}

// A panic goes on; the task has ended as failed with the stack.
func ExampleTask_End() {
	defer func() { fmt.Println("recovered:", recover()) }()
	_, task := sdk.StartTask(context.Background(), "task-456")
	defer task.End(nil)
	panic("out of paper")
	// Output: recovered: out of paper
}

// Attributes and events of one's own go on the OpenTelemetry span.
func ExampleTask_Span() {
	_, task := sdk.StartTask(context.Background(), "task-456")
	defer task.End(nil)
	task.Span().SetAttributes(attribute.String("article.language", "en"))
	fmt.Println(task.Span().IsRecording()) // nobody called telemetry.Setup
	// Output: false
}

// A streamed answer: the first chunk gives the time to first chunk.
func ExampleLLM_Chunk() {
	_, call := sdk.StartLLM(context.Background(), "openai", "gpt-4o")
	text := ""
	for _, chunk := range []string{"Bees ", "hum."} {
		call.Chunk()
		text += chunk
	}
	call.Input("Write about bees.") // kept when the capture of content is on
	call.Output(text)
	call.Cost(0.0023) // what the provider itself said
	call.End(nil)
	fmt.Println(text)
	// Output: Bees hum.
}

// A call of a model that is no chat.
func ExampleStartInference() {
	ctx, call := sdk.StartInference(context.Background(), "embeddings", "openai", "")
	call.Model("text-embedding-3-small") // where it became known later
	call.SystemInstructions("Be short.") // kept when the capture of content is on
	call.End(nil)
	fmt.Println(sdk.InLLM(ctx), sdk.InLLM(context.Background()))
	// Output: true false
}

func ExampleAgent() {
	ctx, agent := sdk.StartAgent(context.Background(), "critic")
	defer agent.End(nil)
	agent.Quality(7.5)
	fmt.Println(sdk.AgentFrom(ctx))
	// Output: critic
}

// What a context knows of its work, for spans of one's own and for other systems.
func ExampleAttributes() {
	ctx, task := sdk.StartTask(context.Background(), "task-456", sdk.TaskType("article"))
	defer task.End(nil)
	for _, kv := range sdk.Attributes(ctx) {
		fmt.Println(kv.Key, kv.Value.AsString())
	}
	fmt.Println(sdk.TaskID(ctx))
	// Output:
	// ai_team.task.id task-456
	// ai_team.task.type article
	// task-456
}

// For calls that leave the team.
func ExampleWithoutBaggage() {
	ctx := sdk.JoinTask(context.Background(), "task-456")
	fmt.Printf("%q\n", sdk.TaskID(sdk.WithoutBaggage(ctx)))
	// Output: ""
}

// A provider gets traceparent, and nothing of tasks and users.
func ExampleLLMTransport() {
	provider := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Printf("baggage: %q\n", r.Header.Get("baggage"))
	}))
	defer provider.Close()
	client := &http.Client{Transport: sdk.LLMTransport(nil)}
	req, _ := http.NewRequestWithContext(sdk.JoinTask(context.Background(), "task-456"), http.MethodPost, provider.URL, nil)
	if resp, err := client.Do(req); err == nil {
		_ = resp.Body.Close()
	}
	// Output: baggage: ""
}

func ExampleCaptureContent() {
	_ = os.Setenv(sdk.CaptureVariable, "span_only")
	fmt.Println(sdk.CaptureContent())
	_ = os.Unsetenv(sdk.CaptureVariable)
	fmt.Println(sdk.CaptureContent())
	// Output:
	// true
	// false
}

// refused is an error that says of which class it is.
type refused struct{ status int }

func (e refused) Error() string     { return fmt.Sprintf("the model refused with status %d", e.status) }
func (e refused) ErrorType() string { return fmt.Sprint(e.status) }

// The class of an error becomes error.type, by which failures are counted.
func ExampleErrorTyper() {
	err := fmt.Errorf("write the draft: %w", refused{429})
	if class, ok := errors.AsType[sdk.ErrorTyper](err); ok {
		fmt.Println(class.ErrorType())
	}
	// Output: 429
}

// The outcomes that tasks end with, and the scope that their spans have.
func Example_names() {
	fmt.Println(sdk.Completed, sdk.Failed, sdk.Cancelled)
	fmt.Println(sdk.ScopeName)
	// Output:
	// completed failed cancelled
	// github.com/mindscope/mindscope/sdk
}
