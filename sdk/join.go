package sdk

import (
	"context"

	"go.opentelemetry.io/otel/baggage"

	"github.com/mindscope/mindscope/sdk/conv"
)

// JoinTask returns ctx as work on a task that was begun elsewhere: with the id, or the one of ctx's baggage when id is
// empty, and with what the baggage says of that task. It is for transports that hand a task to another process, after
// they extracted the baggage; whatever ctx knew of a task or agent before is forgotten.
func JoinTask(ctx context.Context, id string) context.Context {
	id = clean(id)
	b := baggage.FromContext(ctx)
	known := b.Member(conv.AITeamTaskID).Value()
	if id != "" && known != "" && known != id {
		// The rest of the baggage speaks of the other task.
		for _, key := range []string{conv.AITeamTaskType, conv.AITeamUserID, conv.AITeamConversationID} {
			b = b.DeleteMember(key)
		}
		ctx = baggage.ContextWithBaggage(ctx, b)
	}
	ident := fromBaggage(b)
	if id != "" {
		ident.task = id
	}
	ident.fill(0)
	if ident.task == known {
		return ident.in(ctx)
	}
	return ident.withBaggage(ident.in(ctx))
}
