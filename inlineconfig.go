package mp

// InlineConfig describes an [Inline] executor. The zero value is good.
type InlineConfig struct {
	// Workers is how many tasks run at once; 0 means [NumCPU].
	Workers int
}
