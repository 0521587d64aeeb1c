package main

import (
	"context"
	"errors"
	"fmt"
	"net/rpc"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
)

// This peer is go-plugin over net/rpc: one process that answers any number of callers.

const pluginRole = "plugin"

var (
	pluginHandshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "MP_BENCH_PLUGIN", MagicCookieValue: "square"}
	pluginSet       = plugin.PluginSet{"square": squarePlugin{}}
)

// squarer is the plugin's service.
type squarer struct{}

func (squarer) Square(n int, out *int) error   { *out = n * n; return nil }
func (squarer) PID(_ struct{}, pid *int) error { *pid = os.Getpid(); return nil }

type squarePlugin struct{}

func (squarePlugin) Server(*plugin.MuxBroker) (any, error) { return squarer{}, nil }

func (squarePlugin) Client(_ *plugin.MuxBroker, c *rpc.Client) (any, error) {
	return pluginClient{c}, nil
}

type pluginClient struct{ c *rpc.Client }

func (p pluginClient) square(n int) (v int, err error) {
	err = p.c.Call("Plugin.Square", n, &v)
	return v, err
}

func (p pluginClient) prove() error {
	var pid int
	if err := p.c.Call("Plugin.PID", struct{}{}, &pid); err != nil {
		return err
	}
	return elsewhere(pid)
}

// elsewhere checks that a peer's work was not done in this process.
func elsewhere(pid int) error {
	if pid <= 0 || pid == os.Getpid() {
		return fmt.Errorf("the peer ran in process %d, and this is %d", pid, os.Getpid())
	}
	return nil
}

func servePlugin() error {
	plugin.Serve(&plugin.ServeConfig{HandshakeConfig: pluginHandshake, Plugins: pluginSet, Logger: hclog.NewNullLogger()})
	return nil
}

// onPlugin returns an opener for a side that is measured on a plugin.
func onPlugin(round func(b *bench, square func(int) (int, error)) (float64, error)) opener {
	return func(_ context.Context, b *bench) (side, error) {
		cmd, err := roleCommand(pluginRole)
		if err != nil {
			return side{}, err
		}
		c := plugin.NewClient(&plugin.ClientConfig{
			HandshakeConfig: pluginHandshake, Plugins: pluginSet, Cmd: cmd, Logger: hclog.NewNullLogger(),
		})

		p, err := dispense(c)
		if err != nil {
			c.Kill()
			return side{}, err
		}

		return side{
			round: func() (float64, error) { return round(b, p.square) },
			close: c.Kill,
		}, nil
	}
}

func dispense(c *plugin.Client) (pluginClient, error) {
	protocol, err := c.Client()
	if err != nil {
		return pluginClient{}, err
	}
	raw, err := protocol.Dispense("square")
	if err != nil {
		return pluginClient{}, err
	}
	p, ok := raw.(pluginClient)
	if !ok {
		return p, errors.New("go-plugin dispensed something else")
	}
	return p, p.prove()
}
