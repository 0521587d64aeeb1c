package mp

// A Batch is a number of calls of one function. Its methods may be called from
// any goroutine, Settle for different elements at once; what they are given is
// valid only until they return.
type Batch interface {
	// Len is the number of elements.
	Len() int

	// Encode appends elements lo, lo+1, … to buf, each as its length in four
	// bytes, little-endian, and its bytes. It stops before hi once they no
	// longer fit into buf's capacity; only the first may be larger. It returns
	// how many it appended, and why element lo+n could not be encoded.
	Encode(buf []byte, lo, hi int) (out []byte, n int, err error)

	// Settle hands over the outcome of element i: its encoded result or an
	// error. It is called on a goroutine that serves other tasks too, and must
	// not block, panic or close the executor.
	Settle(i int, result []byte, err error)
}
