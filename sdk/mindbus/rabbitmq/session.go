package rabbitmq

import (
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mindscope/mindscope/sdk/mindbus"
)

// expiry is how long a temporary queue outlives its last user: it survives a reconnect, and a crash does not leave it for good.
const expiry = 5 * time.Minute

// session is one connection to the broker.
type session struct {
	conn  *amqp.Connection
	owner *Transport
	gone  chan struct{} // closed when the connection is

	slots chan struct{} // one for each publishing under way

	mu        sync.Mutex
	idle      []*publisher
	exchanges map[string]bool // declared on this connection
}

func (s *session) close() {
	// A broker that does not answer must not hold up the next attempt.
	_ = s.conn.CloseDeadline(time.Now().Add(2 * time.Second))
	<-s.gone
}

// onChannel calls f with a channel of its own: a refused declaration closes the channel it was made on.
func (s *session) onChannel(f func(*amqp.Channel) error) error {
	ch, err := s.conn.Channel()
	if err != nil {
		return lost(err)
	}
	err = f(ch)
	if closeErr := ch.Close(); err == nil && closeErr != nil && !errors.Is(closeErr, amqp.ErrClosed) {
		err = closeErr
	}
	return lost(err)
}

// lost marks errors of a connection that is not there any more.
func lost(err error) error {
	var e *amqp.Error
	switch {
	case err == nil || errors.Is(err, errGone):
		return err
	case errors.Is(err, amqp.ErrClosed):
		return fmt.Errorf("%w: %w", errGone, err)
	case errors.As(err, &e) && e.Server && e.Code < 500 && e.Code != amqp.ConnectionForced:
		return err
	}
	return fmt.Errorf("%w: %w", errGone, err)
}

// isCode reports whether the broker refused with the code.
func isCode(err error, code int) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Code == code
}

func (s *session) declare(q mindbus.Queue) error {
	for _, b := range q.Bindings {
		if err := s.declareExchange(b.Exchange); err != nil {
			return err
		}
	}
	err := s.onChannel(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(q.Name, true, false, false, false, arguments(q))
		return err
	})
	// A queue with other limits is still the queue: the contract is that it is there.
	if isCode(err, amqp.PreconditionFailed) {
		err = s.onChannel(func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclarePassive(q.Name, true, false, false, false, nil)
			return err
		})
	}
	if err != nil || len(q.Bindings) == 0 {
		return err
	}
	return s.onChannel(func(ch *amqp.Channel) error {
		for _, b := range q.Bindings {
			if err := ch.QueueBind(q.Name, b.Pattern, b.Exchange, false, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// arguments returns what the broker calls the properties of a queue.
func arguments(q mindbus.Queue) amqp.Table {
	limit := int64(mindbus.DefaultMaxLength)
	if q.MaxLength > 0 {
		limit = int64(q.MaxLength)
	}
	args := amqp.Table{"x-max-length": limit, "x-overflow": "reject-publish"}
	if q.DropOldest {
		args["x-overflow"] = "drop-head"
	}
	if q.MaxPriority > 0 {
		args["x-max-priority"] = int64(q.MaxPriority)
	}
	if q.DeadLetter != "" {
		args["x-dead-letter-exchange"] = ""
		args["x-dead-letter-routing-key"] = q.DeadLetter
	}
	if q.TTL > 0 {
		args["x-message-ttl"] = q.TTL.Milliseconds()
	}
	if q.Temporary {
		args["x-expires"] = expiry.Milliseconds()
	}
	return args
}

// declareExchange makes the topic exchange once for each connection. One of another kind that exists is used as it is.
func (s *session) declareExchange(name string) error {
	if s.hasExchange(name) {
		return nil
	}
	err := s.onChannel(func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare(name, amqp.ExchangeTopic, true, false, false, false, nil)
	})
	if isCode(err, amqp.PreconditionFailed) {
		err = nil
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.exchanges[name] = true
	s.mu.Unlock()
	return nil
}

// hasExchange reports whether there is nothing to declare; the empty name is the broker's own exchange.
func (s *session) hasExchange(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return name == "" || s.exchanges[name]
}

func (s *session) forgetExchange(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.exchanges, name)
}

func (s *session) delete(queue string) error {
	err := s.onChannel(func(ch *amqp.Channel) error {
		_, err := ch.QueueDelete(queue, false, false, false)
		return err
	})
	if isCode(err, amqp.NotFound) {
		return nil
	}
	return err
}
