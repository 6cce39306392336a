package compat

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
)

// notes:
// - RequiredAcks of a Writer is RequireNone by default. WriteMessages then returns before the server
//   has the message, and messages to a dead server are lost without an error.
// - With RequireAll, the Writer sends a message ten times (MaxAttempts), and fails after 38s here
//   (measured once). With KeepError it fails after the first attempt, because the error is neither a timeout nor
//   temporary (`writer.go:1162`). It does not send the message again, also if only an idle connection
//   was dropped. Repeat WriteMessages yourself then.
// - `kafka.WriteErrors` has no method Unwrap (`error.go:696`), so Diagnose returns Unknown for it. Pass its
//   elements to Diagnose.
// - NewWriter ignores DialFunc of its Dialer (`writer.go:433`). Use a Writer with a Transport.
// - A Reader dials again before it returns an error, with MaxAttempts 1 once, and 3 by default.

func init() {
	register(library{
		name:   "kafka-go",
		module: "github.com/segmentio/kafka-go",
		area:   "Messaging",
		cases: []libraryCase{
			{name: "Writer", client: func(r *run) session { return kafkaWriter(r, kafka.RequireNone) }},
			{name: "Writer, RequireAll", client: func(r *run) session { return kafkaWriter(r, kafka.RequireAll) }},
			{name: "Conn", client: kafkaConn},
			{name: "Reader", client: kafkaReader},
		},
	})
}

func kafkaWriter(r *run, acks kafka.RequiredAcks) session {
	startKafka(r)
	addr, dial := r.addr, r.dial
	// recipe: Writer
	w := &kafka.Writer{
		Addr:         kafka.TCP(addr),
		Topic:        "topic",
		Transport:    &kafka.Transport{Dial: dial},
		RequiredAcks: acks, // not kafka.RequireNone, the default
	}
	// end recipe
	w.BatchSize = 1 // do not wait for more
	r.Cleanup(func() { w.Close() })
	return session{use: func(ctx context.Context) error {
		return w.WriteMessages(ctx, kafka.Message{Value: []byte("message")})
	}}
}

func kafkaConn(r *run) session {
	startKafka(r)
	dial := r.dial
	// recipe: Dialer for Reader and Conn
	dialer := &kafka.Dialer{DialFunc: dial}
	// end recipe
	conn, err := dialer.DialLeader(r.Context(), "tcp", r.addr, "topic", 0)
	require.NoError(r, err)
	r.Cleanup(func() { conn.Close() })
	return session{use: func(context.Context) error {
		_, err := conn.Write([]byte("message"))
		return err
	}}
}

func kafkaReader(r *run) session {
	startKafka(r)
	produce(r)
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers:     []string{r.addr},
		Topic:       "topic",
		Dialer:      &kafka.Dialer{DialFunc: r.dial},
		MaxAttempts: 1,
		ErrorLogger: kafka.LoggerFunc(func(format string, args ...any) { r.Logf("ErrorLogger: "+format, args...) }),
	})
	r.Cleanup(func() { reader.Close() })
	read := func(ctx context.Context) error {
		_, err := reader.ReadMessage(ctx)
		return err
	}
	return session{use: read, wait: read}
}

// TestKafkaNewWriterIgnoresDialFunc checks a note.
func TestKafkaNewWriterIgnoresDialFunc(t *testing.T) {
	t.Parallel()
	r := newRun(t, t)
	startKafka(r)
	w := kafka.NewWriter(kafka.WriterConfig{
		Brokers:   []string{r.addr},
		Topic:     "topic",
		BatchSize: 1,
		Dialer: &kafka.Dialer{DialFunc: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("DialFunc was called")
		}},
	})
	defer w.Close()
	require.NoError(t, w.WriteMessages(t.Context(), kafka.Message{Value: []byte("message")}))
}
