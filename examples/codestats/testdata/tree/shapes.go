// Package tree is counted by hand in main_test.go.
package tree

type stack[T any] struct{ items []T }

func plain() int { return 1 }

func (s *stack[T]) find(want func(T) bool, from, to int) int {
	for i, item := range s.items {
		if i >= from && i < to || want(item) {
			return i
		}
	}
	return -1
}

func choose(n int, c chan int) string {
	switch {
	case n > 0:
		return "more"
	case n < 0, n == -1:
		return "less"
	default:
		for n < 10 {
			n++
		}
	}
	select {
	case <-c:
	case c <- n:
	default:
	}
	switch any(n).(type) {
	case int:
	}
	return "none"
}

func withLiteral() func() bool {
	return func() bool { return plain() > 0 && plain() < 9 }
}

func elsewhere()
