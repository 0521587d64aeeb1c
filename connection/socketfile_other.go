//go:build !unix

package connection

import "net"

func listen(network, address string) (net.Listener, error) { return net.Listen(network, address) }
