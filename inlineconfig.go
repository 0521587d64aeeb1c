package mp

// InlineConfig describes an [Inline] executor. The zero value is good.
type InlineConfig struct {
	// Workers is how many tasks run at once, up to 65,535; 0 means [NumCPU].
	Workers int
}
