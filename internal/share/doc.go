// Package share has the memory of the objects that processes share.
//
// Small objects lie in arenas, segments of one size, each filled by the process that
// made it and read by all that have met an object of it; a large one has a segment of
// its own. An arena begins with a byte for each of its lines that says what object
// begins there, so that the root process can look after them when a process has died.
// Memory in an arena is not used twice: an arena that is full, and in which nothing
// lives any more, goes as a whole. So whoever comes late to an object that was closed
// finds its end, never another object.
//
// What others get of an object is a Token. Meeting one in a process that does not have
// the segment yet is a question to the broker; after that it costs nothing.
package share
