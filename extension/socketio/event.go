package socketio

import (
	"encoding/json"
	"time"
)

// Event is one received event.
type Event struct {
	Namespace string
	Name      string
	Args      []json.RawMessage // the arguments after the name; the receiver may keep them
	At        time.Time         // when the frame had been read, with its monotonic reading

	// Attachments is the number of binary attachments. Their bytes are skipped; Args has {"_placeholder":true,"num":0} in
	// their place.
	Attachments int

	id    int64
	wants bool // the sender asked for an acknowledgement
}

// decodeEvent decodes the packet of an event with its arguments.
func decodeEvent(p *packet, namespace string, name []byte) (Event, error) {
	e := Event{
		Namespace: namespace, Name: string(name), At: time.Now(),
		Attachments: p.Attachments, id: p.ID, wants: p.HasID,
	}
	var values []json.RawMessage
	if json.Unmarshal(p.Data, &values) != nil {
		return Event{}, errJSON
	}
	e.Args = values[1:]
	return e, nil
}
