package ipc

// SharedMemoryConfig configures a [SharedMemory]. The zero value is good.
type SharedMemoryConfig struct {
	// Name lets other programs open it, of this user: a file's name, of up to 200 bytes.
	// Without a name only processes see it that get the handle.
	Name string
}
