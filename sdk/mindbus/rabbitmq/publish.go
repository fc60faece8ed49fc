package rabbitmq

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mindscope/mindscope/sdk/mindbus"
)

// publisher is a channel in confirm mode with at most one message under way. So a return that comes before the
// confirmation can only be that message's: the broker gives returns no number.
type publisher struct {
	ch      *amqp.Channel
	returns chan amqp.Return
	closed  chan *amqp.Error
}

// Publish implements mindbus.Transport. It returns when the broker has confirmed the message. What AMQP has no room for is
// refused with mindbus.ErrInvalid.
func (t *Transport) Publish(ctx context.Context, p mindbus.Publishing) error {
	if err := publishingFits(p); err != nil {
		return fmt.Errorf("publish to %.40s: %w", p.Key, err)
	}
	attempt := 0
	err := t.do(ctx, func(s *session) error {
		if attempt++; attempt > 1 {
			t.resent.Add(1)
		}
		return s.publish(ctx, p)
	})
	if err != nil {
		return fmt.Errorf("publish to %s: %w", p.Key, err)
	}
	return nil
}

func (s *session) publish(ctx context.Context, p mindbus.Publishing) error {
	if !s.hasExchange(p.Exchange) {
		if err := s.owner.within(ctx, func() error { return s.declareExchange(p.Exchange) }); err != nil {
			return err
		}
	}
	select {
	case s.slots <- struct{}{}:
	case <-s.gone:
		return errGone
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-s.slots }()
	pub, err := s.publisher(ctx)
	if err != nil {
		return err
	}
	// Everything is mandatory here, so that what nobody takes is counted.
	confirmation, err := pub.ch.PublishWithDeferredConfirm(p.Exchange, p.Key, true, false, publishing(p))
	if err != nil {
		s.drop(pub)
		return lost(err)
	}
	select {
	case <-confirmation.Done():
	case <-ctx.Done():
		// Whether the broker has it is not known; what it says later is nobody's.
		s.drop(pub)
		return fmt.Errorf("no confirmation: %w", context.Cause(ctx))
	}
	if !confirmation.Acked() && pub.ch.IsClosed() {
		return s.refused(pub, p)
	}
	defer s.putBack(pub)
	select {
	case <-pub.returns:
		s.owner.unroutable.Add(1)
		if p.Mandatory {
			return mindbus.ErrUnroutable
		}
		return nil
	default:
	}
	if !confirmation.Acked() {
		s.owner.rejected.Add(1)
		return mindbus.ErrFull
	}
	return nil
}

// refused says why the channel was closed instead of confirming the message.
func (s *session) refused(pub *publisher, p mindbus.Publishing) error {
	reason := <-pub.closed
	if reason == nil {
		return errGone
	}
	if reason.Code == amqp.NotFound && p.Exchange != "" {
		// Somebody deleted the exchange: it is declared again with the next attempt.
		s.forgetExchange(p.Exchange)
	}
	return lost(reason)
}

// publisher returns an idle one or a new one.
func (s *session) publisher(ctx context.Context) (*publisher, error) {
	s.mu.Lock()
	if n := len(s.idle); n > 0 {
		pub := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		return pub, nil
	}
	s.mu.Unlock()
	return await(ctx, s.owner, s.newPublisher, s.putBack)
}

func (s *session) newPublisher() (*publisher, error) {
	ch, err := s.conn.Channel()
	if err != nil {
		return nil, lost(err)
	}
	pub := &publisher{
		ch:      ch,
		returns: ch.NotifyReturn(make(chan amqp.Return, 1)),
		closed:  ch.NotifyClose(make(chan *amqp.Error, 1)),
	}
	if err := ch.Confirm(false); err != nil {
		s.drop(pub)
		return nil, lost(err)
	}
	return pub, nil
}

func (s *session) putBack(pub *publisher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, pub)
}

// drop closes a channel whose state is not known. It waits for nobody.
func (s *session) drop(pub *publisher) {
	s.owner.start(func() { _ = pub.ch.Close() }) // after Close the connection ends with all channels
}

func publishing(p mindbus.Publishing) amqp.Publishing {
	m := amqp.Publishing{
		ContentType: p.ContentType, DeliveryMode: amqp.Persistent, Priority: p.Priority,
		CorrelationId: p.CorrelationID, ReplyTo: p.ReplyTo, MessageId: p.MessageID, Timestamp: p.Timestamp,
		Type: p.Type, Body: p.Body,
	}
	if len(p.Headers) > 0 {
		m.Headers = make(amqp.Table, len(p.Headers))
		for k, v := range p.Headers {
			m.Headers[k] = v
		}
	}
	return m
}
