package socketio

import (
	"bytes"
	"sync"

	"github.com/gorilla/websocket"
)

// bufferSize is the size in bytes of gorilla's buffers. It is small because an idle connection keeps its read buffer; frames
// have about 100 bytes.
const bufferSize = 1024

// writeBuffers is the pool of gorilla's write buffers; an idle connection holds none.
var writeBuffers sync.Pool

// buffers is the pool of buffers for messages that are being read or joined; an idle connection holds none.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled is the largest capacity in bytes of a buffer that is returned to the pool.
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

// readMessage reads one message into a buffer from the pool; the caller returns it with putBuffer.
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
