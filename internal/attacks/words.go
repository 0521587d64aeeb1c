//go:build linux

package attacks

func wordRows() []Row { return nil }
