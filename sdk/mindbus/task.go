package mindbus

import (
	"context"

	"github.com/mindscope/mindscope/sdk"
)

// withTask returns ctx as work on the message's task. Nothing changes when it is that already.
func withTask(ctx context.Context, id string) context.Context {
	if id == "" || sdk.TaskID(ctx) == id {
		return ctx
	}
	return sdk.JoinTask(ctx, id)
}
