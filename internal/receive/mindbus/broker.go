package mindbus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// prefetch is how many messages may be on their way into the process at a time: few enough that the largest bodies
// fit into memory, enough for the speed that is promised.
const prefetch = 64

// keepReading connects, reads until the connection ends and connects again.
func (t *Tap) keepReading(ctx context.Context) {
	const shortest, longest = 100 * time.Millisecond, 5 * time.Second
	pause, told := shortest, false
	for ctx.Err() == nil {
		began := time.Now()
		err := t.readOnce(ctx)
		t.counts.connected.Store(false)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > longest {
			pause, told = shortest, false
		}
		if !told {
			told = true
			t.log.Warn("the message bus is not read; trying again", "error", err)
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
		}
		pause = min(2*pause, longest)
	}
}

// readOnce reads over one connection.
func (t *Tap) readOnce(ctx context.Context) error {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName("mindscope tap")
	conn, err := amqp.DialConfig(t.cfg.URL, amqp.Config{Heartbeat: 10 * time.Second, Properties: properties, Locale: "en_US"})
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.CloseDeadline(time.Now().Add(2 * time.Second)) }()
	dropped, err := t.bindDropped(conn)
	if err != nil {
		return err
	}
	ch, in, err := t.bind(conn, dropped.queue)
	if err != nil {
		return err
	}
	t.counts.connects.Add(1)
	t.counts.connected.Store(true)
	t.log.Info("reading the message bus", "exchange", t.cfg.Exchange)
	counted := make(chan struct{})
	go func() {
		defer close(counted)
		for range dropped.in {
			t.counts.brokerDropped.Add(1)
		}
	}()
	defer func() {
		_ = conn.CloseDeadline(time.Now().Add(2 * time.Second))
		<-counted
	}()
	return t.pass(ctx, ch, in)
}

// pass hands messages to the worker. They are acknowledged when the worker has them, several at a time.
func (t *Tap) pass(ctx context.Context, ch *amqp.Channel, in <-chan amqp.Delivery) error {
	for {
		select {
		case m, ok := <-in:
			if !ok {
				return errors.New("the queue or the connection is gone")
			}
			last, err := t.passAll(ctx, m, in)
			if err != nil {
				return err
			}
			if err := ch.Ack(last, true); err != nil {
				return fmt.Errorf("acknowledge: %w", err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// passAll hands on a message and those that are there already, as many as are acknowledged together. It returns the
// number of the last one.
func (t *Tap) passAll(ctx context.Context, m amqp.Delivery, in <-chan amqp.Delivery) (last uint64, err error) {
	for n := 1; ; n++ {
		if err := t.feed(ctx, deliveryOf(&m)); err != nil {
			return 0, err
		}
		last = m.DeliveryTag
		if n == prefetch/4 {
			return last, nil
		}
		var ok bool
		select {
		case m, ok = <-in:
		default:
			return last, nil
		}
		if !ok {
			return last, nil // the next look at the stream sees it
		}
	}
}

// bind declares the tap's queue and begins to consume it. The exchange is used as it is; where there is none yet, the
// one that the SDK would make is made.
func (t *Tap) bind(conn *amqp.Connection, deadLetter string) (*amqp.Channel, <-chan amqp.Delivery, error) {
	if err := t.needExchange(conn); err != nil {
		return nil, nil, err
	}
	ch, err := conn.Channel()
	if err != nil {
		return nil, nil, fmt.Errorf("open channel: %w", err)
	}
	args := amqp.Table{
		"x-max-length": t.cfg.MaxLength, "x-max-length-bytes": t.cfg.MaxBytes, "x-overflow": "drop-head",
		"x-message-ttl": t.cfg.TTL.Milliseconds(), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": deadLetter,
	}
	named := t.cfg.Queue != ""
	if named {
		// Nobody has to remember it: a day after the last reader it goes.
		args["x-expires"] = (24 * time.Hour).Milliseconds()
	}
	q, err := ch.QueueDeclare(t.cfg.Queue, named, !named, !named, false, args)
	if err != nil {
		return nil, nil, fmt.Errorf("declare the tap's queue: %w", err)
	}
	if err := ch.QueueBind(q.Name, "#", t.cfg.Exchange, false, nil); err != nil {
		return nil, nil, fmt.Errorf("bind the tap's queue to %s: %w", t.cfg.Exchange, err)
	}
	if err := ch.Qos(prefetch, 0, false); err != nil {
		return nil, nil, fmt.Errorf("set prefetch: %w", err)
	}
	in, err := ch.Consume(q.Name, "", false, named, false, false, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("consume the tap's queue: %w", err)
	}
	return ch, in, nil
}

func (t *Tap) needExchange(conn *amqp.Connection) error {
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	err = ch.ExchangeDeclarePassive(t.cfg.Exchange, amqp.ExchangeTopic, true, false, false, false, nil)
	if err == nil {
		return ch.Close()
	}
	// A refusal closed the channel.
	if ch, err = conn.Channel(); err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	if err := ch.ExchangeDeclare(t.cfg.Exchange, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return fmt.Errorf("find exchange %s: %w", t.cfg.Exchange, err)
	}
	return ch.Close()
}

// droppings is where the broker puts what it takes out of the tap's queue, so that it can be counted.
type droppings struct {
	queue string
	in    <-chan amqp.Delivery
}

func (t *Tap) bindDropped(conn *amqp.Connection) (droppings, error) {
	ch, err := conn.Channel()
	if err != nil {
		return droppings{}, fmt.Errorf("open channel: %w", err)
	}
	name := ""
	if t.cfg.Queue != "" {
		name = t.cfg.Queue + ".dropped" // the queue keeps its arguments, so that the name has to stay
	}
	args := amqp.Table{"x-max-length": t.cfg.MaxLength, "x-max-length-bytes": t.cfg.MaxBytes, "x-overflow": "drop-head"}
	q, err := ch.QueueDeclare(name, false, true, true, false, args)
	if err != nil {
		return droppings{}, fmt.Errorf("declare the queue of what is dropped: %w", err)
	}
	in, err := ch.Consume(q.Name, "", true, true, false, false, nil)
	if err != nil {
		return droppings{}, fmt.Errorf("consume the queue of what is dropped: %w", err)
	}
	return droppings{q.Name, in}, nil
}

// deliveryOf copies nothing: the library gives each delivery memory of its own.
func deliveryOf(m *amqp.Delivery) Delivery {
	d := Delivery{
		Exchange: m.Exchange, Key: m.RoutingKey, MessageID: m.MessageId, CorrelationID: m.CorrelationId,
		ReplyTo: m.ReplyTo, Type: m.Type, Redelivered: m.Redelivered, Body: m.Body,
	}
	if len(m.Headers) > 0 {
		d.Headers = make(map[string]string, len(m.Headers))
		for k, v := range m.Headers {
			switch v := v.(type) {
			case string:
				d.Headers[k] = v
			case []byte:
				d.Headers[k] = string(v)
			}
		}
	}
	return d
}
