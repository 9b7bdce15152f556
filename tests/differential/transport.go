// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Sockets in network namespaces, and many questions at once through each.

const (
	window    = 48 // datagrams under way: fewer than any socket's buffer holds
	lostAfter = 300 * time.Millisecond
	attempts  = 3
)

// reply to a question; nil wire when there was none. hops is the IP header's TTL.
type reply struct {
	wire []byte
	hops int
}

// inNetns runs f on a thread of its own in a network namespace; what f opens stays there.
func inNetns(name string, f func() error) error {
	res := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this function
		fd, err := unix.Open("/run/netns/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			unix.Close(fd)
		}
		if err != nil {
			res <- fmt.Errorf("netns %s: %w", name, err)
			return
		}
		res <- f()
	}()
	return <-res
}

type udpClient struct {
	conn    *net.UDPConn
	send    func(query []byte) error
	retried int // questions that were sent again
}

func dialUDP(netns string, to netip.AddrPort) (*udpClient, error) {
	u := &udpClient{}
	err := inNetns(netns, func() (err error) {
		u.conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
		return err
	})
	if err != nil {
		return nil, err
	}
	u.send = func(query []byte) error {
		_, err := u.conn.Write(query)
		return err
	}
	return u, u.prepare(to.Addr().Is6())
}

// listenUDP only receives; the caller sends in its own way.
func listenUDP(netns string, at netip.AddrPort, send func([]byte) error) (*udpClient, error) {
	u := &udpClient{send: send}
	err := inNetns(netns, func() (err error) {
		u.conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	})
	if err != nil {
		return nil, err
	}
	return u, u.prepare(at.Addr().Is6())
}

func (u *udpClient) prepare(v6 bool) error {
	raw, err := u.conn.SyscallConn()
	if err != nil {
		return err
	}
	var opt error
	err = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
		if v6 {
			opt = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1)
		} else {
			opt = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTTL, 1)
		}
	})
	return errors.Join(err, opt)
}

// exchange sends every query and collects the replies. Query i bears ID i in its first two
// bytes already.
func (u *udpClient) exchange(queries [][]byte) ([]reply, error) {
	out := make([]reply, len(queries))
	todo := make([]int, len(queries))
	for i := range todo {
		todo[i] = i
	}
	for try := 0; try < attempts && len(todo) > 0; try++ {
		if try > 0 {
			u.retried += len(todo)
		}
		if err := u.pass(queries, todo, out); err != nil {
			return nil, err
		}
		left := todo[:0]
		for _, i := range todo {
			if out[i].wire == nil {
				left = append(left, i)
			}
		}
		todo = left
	}
	return out, nil
}

func (u *udpClient) pass(queries [][]byte, todo []int, out []reply) error {
	buf, oob := make([]byte, 65535), make([]byte, 128)
	waiting, next := 0, 0
	for next < len(todo) || waiting > 0 {
		for waiting < window && next < len(todo) {
			if err := u.send(queries[todo[next]]); err != nil && !errors.Is(err, unix.ECONNREFUSED) {
				return err
			}
			next++
			waiting++
		}
		_ = u.conn.SetReadDeadline(time.Now().Add(lostAfter))
		n, oobn, _, _, err := u.conn.ReadMsgUDP(buf, oob)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			waiting = 0 // those under way are lost
			continue
		case errors.Is(err, unix.ECONNREFUSED):
			continue
		case err != nil:
			return err
		}
		if n < 2 {
			continue
		}
		id := int(binary.BigEndian.Uint16(buf))
		if id >= len(out) || out[id].wire != nil {
			continue // late, and already there
		}
		out[id] = reply{append([]byte(nil), buf[:n]...), hopsOf(oob[:oobn])}
		waiting = max(waiting-1, 0)
	}
	return nil
}

func hopsOf(oob []byte) int {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for _, m := range msgs {
		if len(m.Data) >= 4 && (m.Header.Type == unix.IP_TTL || m.Header.Type == unix.IPV6_HOPLIMIT) {
			return int(binary.NativeEndian.Uint32(m.Data))
		}
	}
	return 0
}

// exchangeTCP asks over as few connections as the server allows. A query that the server
// closes the connection on has no reply.
func exchangeTCP(netns string, to netip.AddrPort, queries [][]byte) ([]reply, error) {
	out := make([]reply, len(queries))
	strikes := 0
	for next := 0; next < len(queries); {
		var conn net.Conn
		err := inNetns(netns, func() (err error) {
			conn, err = net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(to))
			return err
		})
		if err != nil {
			return nil, err
		}
		done := talkTCP(conn, queries, next, out)
		conn.Close()
		// A connection may end for reasons of the server's own, between two queries.
		if done > next {
			strikes = 0
		} else if strikes++; strikes == attempts {
			done, strikes = next+1, 0
		}
		next = done
	}
	return out, nil
}

// talkTCP asks from query `done` on, and returns which one comes next when the connection has
// ended. Replies may come in any order (RFC 7766 section 6.2.1.1).
func talkTCP(conn net.Conn, queries [][]byte, done int, out []reply) int {
	const burst = 8
	for done < len(queries) {
		n := min(burst, len(queries)-done)
		var msg []byte
		for _, q := range queries[done : done+n] {
			msg = binary.BigEndian.AppendUint16(msg, uint16(len(q)))
			msg = append(msg, q...)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		if _, err := conn.Write(msg); err != nil {
			return done
		}
		for i := 0; i < n; i++ {
			var head [2]byte
			if _, err := io.ReadFull(conn, head[:]); err != nil {
				break
			}
			b := make([]byte, binary.BigEndian.Uint16(head[:]))
			if _, err := io.ReadFull(conn, b); err != nil || len(b) < 2 {
				break
			}
			if id := int(binary.BigEndian.Uint16(b)); id >= done && id < done+n {
				out[id] = reply{wire: b}
			}
		}
		for i := 0; i < n; i++ {
			if out[done].wire == nil {
				return done
			}
			done++
		}
	}
	return done
}
