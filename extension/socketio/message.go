package socketio

import (
	"bytes"
	"sync"

	"github.com/gorilla/websocket"
)

// bufferSize is small because an idle connection keeps its read buffer; frames here are about 100 bytes.
const bufferSize = 1024

// writeBuffers lends gorilla's write buffers to all connections: an idle one has none.
var writeBuffers sync.Pool

// buffers lends a buffer for as long as messages are looked at or put together: an idle connection has none.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled keeps the rare large message from occupying the pool.
const maxPooled = 64 << 10

func getBuffer() *bytes.Buffer {
	buf, _ := buffers.Get().(*bytes.Buffer)
	buf.Reset()
	return buf
}

func putBuffer(buf *bytes.Buffer) {
	if buf.Cap() <= maxPooled {
		buffers.Put(buf)
	}
}

// readMessage reads one message into a buffer from the pool; the caller puts it back.
func readMessage(ws *websocket.Conn) (messageType int, buf *bytes.Buffer, err error) {
	messageType, r, err := ws.NextReader()
	if err != nil {
		return 0, nil, err
	}
	buf = getBuffer()
	if _, err := buf.ReadFrom(r); err != nil {
		putBuffer(buf)
		return 0, nil, err
	}
	return messageType, buf, nil
}
