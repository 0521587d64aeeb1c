package insight

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/go-multiprocessing/mp"
)

// Handler returns a handler to be mounted with [http.StripPrefix]. It serves:
//
//	/                        all pools, for people
//	/NAME/stats              a pool's Stats as a table; as JSON with ?format=json
//	/NAME/profile?seconds=30 a CPU profile of its workers, see CPUProfile
//	/NAME/heap               and so on: a profile of its workers, see Profile
//
// NAME is a key of the map, which Handler copies. Handler panics if a name is empty, "." or "..",
// because none of these can be part of a path. The arguments of slow tasks are left out unless
// [ShowArguments] is given.
//
// A request that cannot be served gets a status of 4xx or 5xx and one line of text. A profile is
// served even if parts are missing; the header Mp-Missing gives the reason. The handler is safe for
// concurrent use.
func Handler(pools map[string]*mp.Pool, opts ...Option) http.Handler {
	h := handler{maps.Clone(pools), optionsOf(opts)}
	for name := range h.pools {
		if name == "" || name == "." || name == ".." {
			panic(fmt.Sprintf("mp/insight: Handler: %q is no name", name))
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.index)
	mux.HandleFunc("GET /{pool}/stats", h.stats)
	mux.HandleFunc("GET /{pool}/profile", h.cpu)
	mux.HandleFunc("GET /{pool}/{profile}", h.profile)
	return mux
}

type handler struct {
	pools map[string]*mp.Pool
	options
}

var page = template.Must(template.New("index").Parse(`<!DOCTYPE html>
<meta charset="utf-8">
<title>mp: pools</title>
{{range .}}<h2>{{.Name}}</h2>
<pre>{{.Stats}}</pre>
<p><a href="./{{.Path}}/stats?format=json">JSON</a> · profiles of all workers:
<a href="./{{.Path}}/profile?seconds=10">CPU, 10 s</a>
<a href="./{{.Path}}/heap">heap</a>
<a href="./{{.Path}}/allocs">allocs</a>
<a href="./{{.Path}}/goroutine">goroutine</a>
<a href="./{{.Path}}/block">block</a>
<a href="./{{.Path}}/mutex">mutex</a></p>
{{else}}<p>There are no pools.</p>
{{end}}`))

func (h handler) index(w http.ResponseWriter, _ *http.Request) {
	type shown struct {
		Name, Path string
		Stats      mp.Stats
	}
	var all []shown
	for _, name := range slices.Sorted(maps.Keys(h.pools)) {
		all = append(all, shown{name, url.PathEscape(name), h.statsOf(h.pools[name])})
	}
	var out bytes.Buffer
	if err := page.Execute(&out, all); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	send(w, "text/html; charset=utf-8", out.Bytes())
}

// pool returns the requested pool. If there is no such pool, it answers the request and returns
// nil.
func (h handler) pool(w http.ResponseWriter, r *http.Request) *mp.Pool {
	p := h.pools[r.PathValue("pool")]
	if p == nil {
		http.Error(w, fmt.Sprintf("there is no pool %q", r.PathValue("pool")), http.StatusNotFound)
	}
	return p
}

func (h handler) stats(w http.ResponseWriter, r *http.Request) {
	pool := h.pool(w, r)
	if pool == nil {
		return
	}

	s := h.statsOf(pool)
	switch format := r.FormValue("format"); format {
	case "":
		send(w, "text/plain; charset=utf-8", []byte(s.String()+"\n"))
	case "json":
		data, err := json.MarshalIndent(s, "", "\t")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		send(w, "application/json", append(data, '\n'))
	default:
		http.Error(w, fmt.Sprintf("there is no format %q: say json, or nothing", format), http.StatusBadRequest)
	}
}

// Limits on the duration of a CPU profile.
const (
	shortest = time.Millisecond
	longest  = time.Hour
)

func (h handler) cpu(w http.ResponseWriter, r *http.Request) {
	pool := h.pool(w, r)
	if pool == nil {
		return
	}

	seconds := 30.0
	if s := r.FormValue("seconds"); s != "" {
		var err error
		if seconds, err = strconv.ParseFloat(s, 64); err != nil || !(seconds >= shortest.Seconds() && seconds <= longest.Seconds()) {
			http.Error(w, fmt.Sprintf("seconds is %q: it must be a number from %v to %v", s, shortest.Seconds(), longest.Seconds()), http.StatusBadRequest)
			return
		}
	}

	d := time.Duration(seconds * float64(time.Second))
	if s, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && s.WriteTimeout > 0 && d >= s.WriteTimeout {
		http.Error(w, fmt.Sprintf("%v is more than the server's WriteTimeout of %v", d, s.WriteTimeout), http.StatusBadRequest)
		return
	}
	var out bytes.Buffer
	err := CPUProfile(r.Context(), pool, d, &out)
	download(w, "profile", &out, err)
}

func (h handler) profile(w http.ResponseWriter, r *http.Request) {
	pool := h.pool(w, r)
	if pool == nil {
		return
	}
	name := r.PathValue("profile")
	if !slices.Contains(profiles, name) {
		http.Error(w, fmt.Sprintf("there is no profile %q: there are profile, %v", name, profiles), http.StatusNotFound)
		return
	}
	var out bytes.Buffer
	err := Profile(r.Context(), pool, name, &out)
	download(w, name, &out, err)
}

// profiles are the profiles that are served by name.
var profiles = []string{"heap", "allocs", "goroutine", "block", "mutex", "threadcreate"}

// download serves a profile, or the reason why there is none.
func download(w http.ResponseWriter, name string, out *bytes.Buffer, err error) {
	if err != nil && out.Len() == 0 {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	if err != nil {
		w.Header().Set("Mp-Missing", oneLine(err))
	}
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	send(w, "application/octet-stream", out.Bytes())
}

// oneLine returns an error's text in a form that a header can hold.
func oneLine(err error) string {
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, []byte(err.Error())))
}

func send(w http.ResponseWriter, kind string, data []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(data) // the client may be gone
}
