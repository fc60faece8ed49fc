package sdk

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

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

// scoped is a context that knows its work. It is part of what the Start functions return, so that both are one
// allocation.
type scoped struct {
	context.Context
	identity
}

// Value implements context.Context.
func (s *scoped) Value(key any) any {
	if _, ok := key.(identityKey); ok {
		return &s.identity
	}
	return s.Context.Value(key)
}

// identityOf returns the identity of ctx: the one that a Start function put there, else the one that came as baggage
// from another process. It never returns nil.
func identityOf(ctx context.Context) *identity {
	if id, ok := ctx.Value(identityKey{}).(*identity); ok {
		return id
	}
	return fromBaggage(baggage.FromContext(ctx))
}

func fromBaggage(b baggage.Baggage) *identity {
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
	id.fill(0)
	return id
}

// fill makes the attributes of the fields, and returns them with room for more of them.
func (id *identity) fill(more int) []attribute.KeyValue {
	n := more
	for _, v := range [...]string{id.task, id.taskType, id.team, id.user, id.conversation, id.agent} {
		if v != "" {
			n++
		}
	}
	attrs := make([]attribute.KeyValue, 0, n)
	attrs = appendSet(attrs, conv.AITeamTaskID, id.task)
	attrs = appendSet(attrs, conv.AITeamTaskType, id.taskType)
	attrs = appendSet(attrs, conv.AITeamTeam, id.team)
	attrs = appendSet(attrs, conv.AITeamUserID, id.user)
	attrs = appendSet(attrs, conv.GenAIConversationID, id.conversation)
	attrs = appendSet(attrs, conv.GenAIAgentName, id.agent)
	id.attrs = slices.Clip(attrs)
	return attrs
}

func appendSet(attrs []attribute.KeyValue, key, value string) []attribute.KeyValue {
	if value == "" {
		return attrs
	}
	return append(attrs, attribute.String(key, value))
}

// attributes returns those of fill, which an identity from a time without telemetry does not have yet.
func (id *identity) attributes() []attribute.KeyValue {
	if id.attrs == nil {
		made := *id
		return made.fill(0)
	}
	return id.attrs
}

// with returns the identity's attributes and more of them, in a slice of their own.
func (id *identity) with(more []attribute.KeyValue) []attribute.KeyValue {
	known := id.attributes()
	attrs := make([]attribute.KeyValue, 0, len(known)+len(more))
	return append(append(attrs, known...), more...)
}

func (id *identity) in(ctx context.Context) context.Context {
	return &scoped{ctx, *id}
}

// maxBaggage is how many bytes our values may take in baggage. W3C gives 8192 to all members together, escapes
// included, which may triple a value.
const maxBaggage = 2048

// withBaggage puts the task's part of id into ctx's baggage, beside what is there. Values that are too long for
// baggage are left out there; spans and messages have them all the same.
func (id *identity) withBaggage(ctx context.Context) context.Context {
	var members [5]baggage.Member
	n, room := 0, maxBaggage
	for _, f := range [...]struct{ key, value string }{
		{conv.AITeamTaskID, id.task},
		{conv.AITeamTaskType, id.taskType},
		{conv.AITeamTeam, id.team},
		{conv.AITeamUserID, id.user},
		{conv.AITeamConversationID, id.conversation},
	} {
		if f.value == "" || len(f.value) > room {
			continue
		}
		if member, err := baggage.NewMemberRaw(f.key, f.value); err == nil {
			members[n] = member
			n, room = n+1, room-len(f.value)
		}
	}
	b := baggage.FromContext(ctx)
	if b.Len() == 0 {
		// Setting members one by one copies the baggage for each.
		if all, err := baggage.New(members[:n]...); err == nil {
			return baggage.ContextWithBaggage(ctx, all)
		}
	}
	for _, m := range members[:n] {
		if with, err := b.SetMember(m); err == nil {
			b = with
		}
	}
	return baggage.ContextWithBaggage(ctx, b)
}

// clean makes text fit for baggage, spans and logs: valid UTF-8.
func clean(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return strings.ToValidUTF8(text, "�")
}

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
	return slices.Clip(identityOf(ctx).attributes())
}

// WithoutBaggage returns ctx without baggage and without a task, for calls that leave the team. The trace goes on.
func WithoutBaggage(ctx context.Context) context.Context {
	return (&identity{}).in(baggage.ContextWithoutBaggage(ctx))
}
