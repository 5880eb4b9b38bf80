// Package freeport finds places to listen on, for servers that tests start:
//
//	address, err := freeport.Address()
//	if err != nil {
//		return err
//	}
//	cmd := exec.Command("server", "--listen", address)
package freeport

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
)

// Address returns a host:port of this machine that stays free until somebody listens on it: its port is
// below those that the system gives to whoever asks for any.
func Address() (string, error) {
	var err error
	for range 100 {
		var random [2]byte
		rand.Read(random[:])
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprint("127.0.0.1:", 10000+binary.BigEndian.Uint16(random[:])%20000)); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", fmt.Errorf("no port is free: %w", err)
}
