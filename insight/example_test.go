//go:build linux

package insight_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/insight"
)

func Example() {
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	if err := pool.Ready(context.Background()); err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	pools := map[string]*mp.Pool{"images": pool}
	mux.Handle("/debug/mp/", http.StripPrefix("/debug/mp", insight.Handler(pools)))
	server := httptest.NewServer(mux)
	defer server.Close()

	r, err := http.Get(server.URL + "/debug/mp/images/stats")
	if err != nil {
		log.Fatal(err)
	}
	defer r.Body.Close()
	table, _ := io.ReadAll(r.Body)
	first, _, _ := strings.Cut(string(table), ",")
	fmt.Println(r.Status, first)
	http.DefaultClient.CloseIdleConnections()
	// Output: 200 OK 2 of 2 workers serve
}

func ExampleCPUProfile() {
	ctx := context.Background()
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	if err := pool.Ready(ctx); err != nil {
		log.Fatal(err)
	}

	name := filepath.Join(os.TempDir(), fmt.Sprintf("workers-%d.pprof", os.Getpid()))
	f, err := os.Create(name)
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(name)
	if err := insight.CPUProfile(ctx, pool, 50*time.Millisecond, f); err != nil {
		log.Fatal(err)
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
	info, err := os.Stat(name)
	fmt.Println(info.Size() > 0, err) // go tool pprof -tagroot mp_worker workers.pprof
	// Output: true <nil>
}

func ExampleProfile() {
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	ctx := context.Background()
	if err := pool.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	var profile strings.Builder
	err = insight.Profile(ctx, pool, "heap", &profile)
	fmt.Println(profile.Len() > 0, err)
	// Output: true <nil>
}
