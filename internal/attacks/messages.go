//go:build linux

package attacks

func messageRows() []Row { return nil }
