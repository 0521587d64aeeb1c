package cause

import (
	"context"
	"errors"
	"testing"
)

func TestOf(t *testing.T) {
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	if err := Of(ctx); err != nil {
		t.Errorf("before its end: %v", err)
	}
	cancel(why)
	if err := Of(ctx); !errors.Is(err, why) || !errors.Is(err, context.Canceled) || err.Error() != "why" {
		t.Errorf("%v, not both the cause and context.Canceled", err)
	}
	plain, stop := context.WithCancel(t.Context())
	stop()
	if err := Of(plain); err != context.Canceled {
		t.Errorf("without a cause: %v", err)
	}
}
