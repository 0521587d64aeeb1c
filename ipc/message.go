package ipc

import "errors"

// The first byte of a message says how it was sent.
const (
	byValue = 0
	byBytes = 1
)

// asCopy sends a copy of b, preceded by the byte that says that b was sent as bytes.
func asCopy(b []byte, send func(message []byte) error) error {
	p := buffers.Get().(*[]byte)
	message := append(append((*p)[:0], byBytes), b...)
	err := send(message)
	putBuffer(p, message)
	return err
}

// isValue and isBytes return an error if a message was sent the other way.
func isValue(b []byte) error { return wasSent(b, byValue) }
func isBytes(b []byte) error { return wasSent(b, byBytes) }

// ofValue calls f with a message that was sent by value, without its first byte.
func ofValue(b []byte, f func(value []byte)) {
	if len(b) > 0 && b[0] == byValue {
		f(b[1:])
	}
}

func wasSent(b []byte, how byte) error {
	if b[0] == how {
		return nil
	}
	text := "it was sent by Send, and is received next by Recv"
	if b[0] == byBytes {
		text = "it was sent by SendBytes, and is received next by RecvBytes or RecvInto"
	}
	return codecError("message", "decoded", errors.New(text))
}
