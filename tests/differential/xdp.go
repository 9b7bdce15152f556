// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The xdp engine without a wire: its pinned program is run on a frame with each query
// (BPF_PROG_TEST_RUN), in the node's network namespace. Ordinary small frames of a veth have
// no room behind them, which a NIC's have.

const (
	xdpPass, xdpTx = 2, 3
	headroom       = 42 // Ethernet, IPv4 and UDP headers
	headroom6      = 62
)

type xdpEngine struct {
	prog    int
	ifindex uint32
	mac     [6]byte // of the port
	peer    [6]byte // of who asks
	work    chan func()
}

func bpf(cmd uintptr, attr unsafe.Pointer, size uintptr) (int, error) {
	r, _, e := unix.Syscall(unix.SYS_BPF, cmd, uintptr(attr), size)
	if e != 0 {
		return -1, e
	}
	return int(r), nil
}

// openXDP takes the pinned program; ifname is the port in netns that it is attached to.
func openXDP(netns, pin, ifname string) (*xdpEngine, error) {
	x := &xdpEngine{work: make(chan func()), peer: [6]byte{2, 0, 0, 0, 0, 1}}
	path := append([]byte(pin), 0)
	attr := struct {
		path    uint64
		fd, flg uint32
	}{path: uint64(uintptr(unsafe.Pointer(&path[0])))}
	const objGet = 7
	var err error
	if x.prog, err = bpf(objGet, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return nil, fmt.Errorf("%s: %w", pin, err)
	}
	runtime.KeepAlive(path)
	ready := make(chan error, 1)
	go func() { // a thread that stays in the namespace: test runs look the port up in theirs
		_ = inNetns(netns, func() error {
			var err error
			x.ifindex, x.mac, err = port(ifname)
			ready <- err
			for f := range x.work {
				f()
			}
			return nil
		})
	}()
	return x, <-ready
}

// port of the calling thread's network namespace.
func port(ifname string) (ifindex uint32, mac [6]byte, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return 0, mac, err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(ifname)
	if err != nil {
		return 0, mac, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req); err != nil {
		return 0, mac, err
	}
	ifindex = req.Uint32()
	var hw struct {
		name   [16]byte
		family uint16
		mac    [22]byte
	}
	copy(hw.name[:], ifname)
	_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCGIFHWADDR, uintptr(unsafe.Pointer(&hw)))
	if e != 0 {
		return 0, mac, e
	}
	copy(mac[:], hw.mac[:])
	return ifindex, mac, nil
}

// wire asks through a real veth from another namespace, which stands for a NIC's far end. The
// frames are filled up behind the datagram, so that the replies find room in them.
func (x *xdpEngine) wire(netns, ifname string, src, dst netip.Addr) (*udpClient, error) {
	y := *x
	fd := -1
	err := inNetns(netns, func() error {
		ifindex, mac, err := port(ifname)
		if err != nil {
			return err
		}
		y.peer = mac
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: int(ifindex)})
	})
	if err != nil {
		return nil, err
	}
	return listenUDP(netns, netip.AddrPortFrom(src, xdpClientPort), func(query []byte) error {
		f := y.frame(src, dst, query)
		_, err := unix.Write(fd, append(f, make([]byte, max(0, 1400-len(f)))...))
		return err
	})
}

// ask runs the program on every query. A nil wire means that the frame was left, which was
// checked to be unchanged.
func (x *xdpEngine) ask(src, dst netip.Addr, queries [][]byte) (out []reply, err error) {
	done := make(chan struct{})
	x.work <- func() {
		defer close(done)
		out = make([]reply, len(queries))
		for i, q := range queries {
			if out[i].wire, err = x.run(src, dst, q); err != nil {
				err = fmt.Errorf("query %d (%x): %w", i, q, err)
				return
			}
		}
	}
	<-done
	return out, err
}

func (x *xdpEngine) run(src, dst netip.Addr, query []byte) ([]byte, error) {
	in := x.frame(src, dst, query)
	out := make([]byte, 4096)
	ctx := [6]uint32{0, uint32(len(in)), 0, x.ifindex, 0, 0}
	attr := struct {
		prog, retval, sizeIn, sizeOut   uint32
		in, out                         uint64
		repeat, duration, ctxIn, ctxOut uint32
		ctxInAt, ctxOutAt               uint64
		flags, cpu, batch, pad          uint32
	}{prog: uint32(x.prog), sizeIn: uint32(len(in)), sizeOut: uint32(len(out)),
		in: uint64(uintptr(unsafe.Pointer(&in[0]))), out: uint64(uintptr(unsafe.Pointer(&out[0]))), repeat: 1,
		ctxIn: uint32(unsafe.Sizeof(ctx)), ctxInAt: uint64(uintptr(unsafe.Pointer(&ctx)))}
	const testRun = 10
	_, err := bpf(testRun, unsafe.Pointer(&attr), unsafe.Sizeof(attr)-4)
	runtime.KeepAlive(in)
	runtime.KeepAlive(out)
	if err != nil {
		return nil, fmt.Errorf("BPF_PROG_TEST_RUN: %w", err)
	}
	out = out[:attr.sizeOut]
	switch attr.retval {
	case xdpPass:
		if !bytes.Equal(in, out) {
			return nil, errors.New("left, but not as it came")
		}
		return nil, nil
	case xdpTx:
		return checkFrame(in, out)
	}
	return nil, fmt.Errorf("verdict %d", attr.retval)
}

const xdpClientPort = 40000

func (x *xdpEngine) frame(src, dst netip.Addr, query []byte) []byte {
	f := append([]byte(nil), x.mac[:]...)
	f = append(f, x.peer[:]...)
	udpLen := uint16(8 + len(query))
	if dst.Is4() {
		ip := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 63, 17, 0, 0}
		binary.BigEndian.PutUint16(ip[2:], 20+udpLen)
		ip = append(append(ip, src.AsSlice()...), dst.AsSlice()...)
		binary.BigEndian.PutUint16(ip[10:], ^fold(sum(ip)))
		f = append(append(f, 8, 0), ip...)
	} else {
		ip := []byte{0x60, 0, 0, 0, 0, 0, 17, 63}
		binary.BigEndian.PutUint16(ip[4:], udpLen)
		f = append(append(f, 0x86, 0xdd), append(append(ip, src.AsSlice()...), dst.AsSlice()...)...)
	}
	udp := make([]byte, 8, udpLen)
	binary.BigEndian.PutUint16(udp, xdpClientPort)
	binary.BigEndian.PutUint16(udp[2:], 53)
	binary.BigEndian.PutUint16(udp[4:], udpLen)
	udp = append(udp, query...)
	c := ^fold(sum(udp) + pseudo(src, dst, udpLen))
	if c == 0 {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(udp[6:], c)
	return append(f, udp...)
}

func sum(b []byte) uint32 {
	var s uint32
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
	}
	return s
}

func pseudo(a, b netip.Addr, udpLen uint16) uint32 {
	return sum(a.AsSlice()) + sum(b.AsSlice()) + 17 + uint32(udpLen)
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

// checkFrame verifies everything below DNS and returns the message.
func checkFrame(in, out []byte) ([]byte, error) {
	head := headroom
	if in[12] == 0x86 {
		head = headroom6
	}
	if len(out) < head+12 {
		return nil, errors.New("reply frame too short")
	}
	if !bytes.Equal(out[0:6], in[6:12]) || !bytes.Equal(out[6:12], in[0:6]) || !bytes.Equal(out[12:14], in[12:14]) {
		return nil, errors.New("reply frame: wrong Ethernet header")
	}
	ip, udp := out[14:head-8], out[head-8:]
	var src, dst, wasSrc, wasDst netip.Addr
	if head == headroom {
		if ip[0] != 0x45 || int(binary.BigEndian.Uint16(ip[2:])) != len(out)-14 || fold(sum(ip)) != 0xffff || ip[9] != 17 {
			return nil, fmt.Errorf("reply frame: wrong IPv4 header %x", ip)
		}
		src, dst = netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))
		wasSrc, wasDst = netip.AddrFrom4([4]byte(in[26:])), netip.AddrFrom4([4]byte(in[30:]))
	} else {
		if ip[0]>>4 != 6 || int(binary.BigEndian.Uint16(ip[4:])) != len(udp) || ip[6] != 17 {
			return nil, fmt.Errorf("reply frame: wrong IPv6 header %x", ip)
		}
		src, dst = netip.AddrFrom16([16]byte(ip[8:])), netip.AddrFrom16([16]byte(ip[24:]))
		wasSrc, wasDst = netip.AddrFrom16([16]byte(in[22:])), netip.AddrFrom16([16]byte(in[38:]))
	}
	if src != wasDst || dst != wasSrc || binary.BigEndian.Uint16(udp) != 53 ||
		binary.BigEndian.Uint16(udp[2:]) != xdpClientPort {
		return nil, errors.New("reply frame: wrong addresses or ports")
	}
	n := binary.BigEndian.Uint16(udp[4:])
	if int(n) != len(udp) || binary.BigEndian.Uint16(udp[6:]) == 0 || fold(sum(udp)+pseudo(src, dst, n)) != 0xffff {
		return nil, fmt.Errorf("reply frame: wrong UDP header %x", udp[:8])
	}
	return udp[8:], nil
}
