package mp

// An earlyArgument was encoded when the caller had it, long before a worker is sent it: what it refers to may be
// overwritten meanwhile.
type earlyArgument struct {
	framed []byte // with its length in front
	err    error  // it cannot be encoded
	items  sentItems
	sent   bool
}

// encodeEarly encodes an argument. Small ones share memory, in chunks.
func (f *Func[In, Out]) encodeEarly(chunk *[]byte, arg In) earlyArgument {
	const size, least = 64 << 10, 1 << 10
	if cap(*chunk)-len(*chunk) < least {
		*chunk = make([]byte, 0, size)
	}
	at := len(*chunk)
	out, err := f.encodeOne(*chunk, &arg)
	if err != nil {
		return earlyArgument{err: err}
	}
	if cap(out) == cap(*chunk) { // it had room
		*chunk = out
	}
	e := earlyArgument{framed: out[at:len(out):len(out)]}
	if f.brings() {
		var s sent
		f.note(&s, e.framed, []In{arg}, 0)
		e.items = s.take(0)
	}
	return e
}

// appendEarly is [Batch]'s Encode.
func appendEarly(buf []byte, args []earlyArgument) (_ []byte, n int, err error) {
	limit := cap(buf)
	for n < len(args) {
		a := &args[n]
		if a.err != nil {
			return buf, n, a.err
		}
		if n > 0 && len(buf)+len(a.framed) > limit {
			break
		}
		buf = append(buf, a.framed...)
		n++
	}
	return buf, n, nil
}
