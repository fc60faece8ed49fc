// Package test drives the real binary over its public ports only: OTLP and AMQP in, HTTP and the command line out.
package test
