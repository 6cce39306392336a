package heartbeatstress

import (
	"context"
	"net"
)

// Connect returns both ends of a connection to a new listener. If small is true, the
// sockets have small buffers, on systems that allow it.
func Connect(network, address string, small bool) (near, far net.Conn, err error) {
	l, err := listen(network, address, small)
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	var d net.Dialer
	if small {
		d.Control = setBuffers
	}
	if near, err = d.Dial(network, l.Addr().String()); err != nil {
		return nil, nil, err
	}
	if far, err = l.Accept(); err != nil {
		near.Close()
	}
	return near, far, err
}

func listen(network, address string, small bool) (net.Listener, error) {
	var config net.ListenConfig
	if small {
		config.Control = setBuffers // the accepted socket has the same
	}
	return config.Listen(context.Background(), network, address)
}
