package compat

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// notes:
// The server of this test is a small substitute that knows the commands of the driver.
//
// - Without KeepError, the driver takes ETIMEDOUT for a timeout. It leaves the other connections of
//   the pool as they are (`x/mongo/driver/topology/server.go:554` and `:715`), so that the next operation
//   fails as well. With KeepError it removes them all.
// - The driver opens two more connections to each server, to monitor it. They use the dialer, too.
// - Reads and writes are sent again once if the server is a member of a replica set (retryReads,
//   retryWrites). The test uses RunCommand, which is not.

func init() {
	register(library{
		name:   "mongo-driver",
		module: "go.mongodb.org/mongo-driver/v2",
		area:   "Databases",
		cases: []libraryCase{
			{client: mongoClient},
		},
	})
}

// recipe: Dialer
// mongoDialer is an options.ContextDialer. A *net.Dialer is one, too.
type mongoDialer func(ctx context.Context, network, addr string) (net.Conn, error)

func (d mongoDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d(ctx, network, addr)
}

// end recipe

func mongoClient(r *run) session {
	r.setServer(r.once("mongo", startMongo))
	uri, dial := "mongodb://"+r.addr, r.dial
	// recipe: Client
	client, err := mongo.Connect(options.Client().ApplyURI(uri).SetDialer(mongoDialer(dial)))
	// end recipe
	require.NoError(r, err)
	r.Cleanup(func() { client.Disconnect(context.Background()) })
	return session{use: func(ctx context.Context) error {
		return client.Database("db").RunCommand(ctx, bson.D{{Key: "ping", Value: 1}}).Err()
	}}
}

// startMongo starts a server with as much of MongoDB's protocol as the driver needs. It
// acknowledges every command.
func startMongo(t testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for mongoReply(conn) == nil {
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// mongoReply answers one message (MongoDB Wire Protocol).
func mongoReply(conn net.Conn) error {
	const (
		opReply = 1
		opQuery = 2004
		opMsg   = 2013
	)
	head := make([]byte, 16) // length, request ID, response to, opcode
	if _, err := io.ReadFull(conn, head); err != nil {
		return err
	}
	body := make([]byte, binary.LittleEndian.Uint32(head)-16)
	if _, err := io.ReadFull(conn, body); err != nil {
		return err
	}
	hello := bson.D{
		{Key: "ok", Value: 1}, {Key: "helloOk", Value: true}, {Key: "isWritablePrimary", Value: true},
		{Key: "minWireVersion", Value: 0}, {Key: "maxWireVersion", Value: 21},
		{Key: "maxBsonObjectSize", Value: 16 << 20}, {Key: "maxMessageSizeBytes", Value: 48 << 20}, {Key: "maxWriteBatchSize", Value: 100000},
		{Key: "topologyVersion", Value: bson.D{{Key: "processId", Value: bson.ObjectID{1}}, {Key: "counter", Value: int64(1)}}},
	}
	var reply []byte
	opcode := uint32(opMsg)
	switch binary.LittleEndian.Uint32(head[12:]) {
	case opQuery: // the first hello
		opcode = opReply
		reply = append(make([]byte, 16), 1, 0, 0, 0) // flags, cursor ID, starting from, number returned
		reply = binary.LittleEndian.AppendUint32(reply[:16], 1)
	case opMsg:
		reply = make([]byte, 5) // flags, kind of section
		var command struct {
			Hello          any   `bson:"hello"`
			MaxAwaitTimeMS int64 `bson:"maxAwaitTimeMS"`
		}
		if err := bson.Unmarshal(body[5:5+binary.LittleEndian.Uint32(body[5:])], &command); err != nil {
			return err
		}
		if command.Hello == nil {
			hello = bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 1}}
		}
		time.Sleep(time.Duration(command.MaxAwaitTimeMS) * time.Millisecond) // nothing changes
	}
	document, err := bson.Marshal(hello)
	if err != nil {
		return err
	}
	reply = append(reply, document...)
	answer := binary.LittleEndian.AppendUint32(nil, uint32(16+len(reply)))
	answer = append(answer, 0, 0, 0, 0)
	answer = append(answer, head[4:8]...)
	answer = binary.LittleEndian.AppendUint32(answer, opcode)
	_, err = conn.Write(append(answer, reply...))
	return err
}
