package ipc

// ObjectConfig configures an object that processes share. The zero value is good.
//
// An object of the zero value of its type, which no constructor has made, has methods that
// say so in their errors, and cannot be sent.
type ObjectConfig struct {
	// Isolated gives the object a memory segment of its own. Small objects lie
	// together in segments otherwise, and a process that got the handle of one could,
	// if it is corrupt, write over the others of that segment. A segment of its own
	// takes a descriptor and some 8 KiB.
	Isolated bool
}
