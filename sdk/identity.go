package sdk

import (
	"context"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"

	"github.com/mindscope/mindscope/sdk/conv"
)

// identity is what a context knows of the work it belongs to. It is never changed once it is in a context.
type identity struct {
	task, taskType, team, user, conversation, agent string
	// attrs are the attributes that every span of ours below this context carries.
	attrs []attribute.KeyValue
}

type identityKey struct{}

// identityOf returns the identity of ctx: the one that a Start function put there, else the one that came as baggage
// from another process. It never returns nil.
func identityOf(ctx context.Context) *identity {
	if id, ok := ctx.Value(identityKey{}).(*identity); ok {
		return id
	}
	b := baggage.FromContext(ctx)
	if b.Len() == 0 {
		return &identity{}
	}
	id := &identity{
		task:         b.Member(conv.AITeamTaskID).Value(),
		taskType:     b.Member(conv.AITeamTaskType).Value(),
		team:         b.Member(conv.AITeamTeam).Value(),
		user:         b.Member(conv.AITeamUserID).Value(),
		conversation: b.Member(conv.AITeamConversationID).Value(),
	}
	id.fill()
	return id
}

// fill makes the attributes of the fields.
func (id *identity) fill() {
	id.attrs = make([]attribute.KeyValue, 0, 6)
	for _, f := range [...]struct{ key, value string }{
		{conv.AITeamTaskID, id.task},
		{conv.AITeamTaskType, id.taskType},
		{conv.AITeamTeam, id.team},
		{conv.AITeamUserID, id.user},
		{conv.GenAIConversationID, id.conversation},
		{conv.GenAIAgentName, id.agent},
	} {
		if f.value != "" {
			id.attrs = append(id.attrs, attribute.String(f.key, f.value))
		}
	}
}

func (id *identity) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// withBaggage puts the task's part of id into ctx's baggage, beside what is there. What W3C baggage can't take (a
// value so long that the whole would be over 8192 bytes) is left out there; spans and messages have it all the same.
func (id *identity) withBaggage(ctx context.Context) context.Context {
	b := baggage.FromContext(ctx)
	for _, m := range [...]struct{ key, value string }{
		{conv.AITeamTaskID, id.task},
		{conv.AITeamTaskType, id.taskType},
		{conv.AITeamTeam, id.team},
		{conv.AITeamUserID, id.user},
		{conv.AITeamConversationID, id.conversation},
	} {
		if m.value == "" {
			continue
		}
		member, err := baggage.NewMemberRaw(m.key, m.value)
		if err != nil {
			continue
		}
		if with, err := b.SetMember(member); err == nil {
			b = with
		}
	}
	return baggage.ContextWithBaggage(ctx, b)
}

// clean makes text fit for baggage, spans and logs: valid UTF-8.
func clean(text string) string { return strings.ToValidUTF8(text, "�") }

// TaskID returns the id of the task that ctx works on, "" when it works on none.
func TaskID(ctx context.Context) string { return identityOf(ctx).task }

// TypeOfTask returns the type of the task that ctx works on, "" when there is none.
func TypeOfTask(ctx context.Context) string { return identityOf(ctx).taskType }

// TeamOf returns the team that ctx works for, "" when none was named.
func TeamOf(ctx context.Context) string { return identityOf(ctx).team }

// AgentFrom returns the name of the agent that runs in ctx, "" outside of agents.
func AgentFrom(ctx context.Context) string { return identityOf(ctx).agent }

// Attributes returns what ctx knows of its work as span attributes: task id and type, team, user, conversation and
// agent, those of them that are set. The caller must not change the slice's elements.
func Attributes(ctx context.Context) []attribute.KeyValue {
	return slices.Clip(identityOf(ctx).attrs)
}

// WithoutBaggage returns ctx without baggage and without a task, for calls that leave the team. The trace goes on.
func WithoutBaggage(ctx context.Context) context.Context {
	return (&identity{}).in(baggage.ContextWithoutBaggage(ctx))
}
