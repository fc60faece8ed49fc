// Package rabbitmq is a mindbus.Transport over RabbitMQ, or another AMQP 0-9-1 broker that confirms what it takes.
//
// Publish returns when the broker has confirmed the message, which a durable queue does after writing it to disk. When
// the connection is lost the transport makes a new one, declares again what it had declared and goes on consuming;
// Publish and the other methods wait for that until their context ends. A message that was not confirmed when the
// connection broke is sent again, so that it may come twice and is never lost.
//
// What the broker does differently from the contract: a message that several queues should get and one of them refuses
// as full may be in the others; DropOldest pushes out the message at the head, which is one of the highest priority; a
// queue that exists keeps the limits it was made with.
package rabbitmq
