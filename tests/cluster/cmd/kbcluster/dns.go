package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

var qtypes = map[string]dnsmessage.Type{
	"A": dnsmessage.TypeA, "AAAA": dnsmessage.TypeAAAA, "SRV": dnsmessage.TypeSRV, "PTR": dnsmessage.TypePTR,
	"TXT": dnsmessage.TypeTXT, "CNAME": dnsmessage.TypeCNAME, "SOA": dnsmessage.TypeSOA, "NS": dnsmessage.TypeNS,
}

// packQuery builds a query whose ID is 0: callers write their own into the
// first two bytes.
func packQuery(qname, qtype string) ([]byte, error) {
	t, ok := qtypes[strings.ToUpper(qtype)]
	if !ok {
		return nil, fmt.Errorf("unknown query type %q", qtype)
	}
	if !strings.HasSuffix(qname, ".") {
		qname += "."
	}
	name, err := dnsmessage.NewName(qname)
	if err != nil {
		return nil, err
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{RecursionDesired: true})
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if err := b.Question(dnsmessage.Question{Name: name, Type: t, Class: dnsmessage.ClassINET}); err != nil {
		return nil, err
	}
	return b.Finish()
}

// enterNetns moves the calling thread, which must be locked and never be given
// back: let the goroutine end without unlocking it.
func enterNetns(name string) error {
	runtime.LockOSThread()
	fd, err := unix.Open("/run/netns/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("netns %s: %w", name, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("netns %s: %w", name, err)
	}
	return nil
}

// udpSocket returns a connected blocking socket. The thread sleeps in the
// kernel for it: Go's poller would add its own wake-up to every time we take.
func udpSocket(dst netip.AddrPort, timeout time.Duration) (int, error) {
	return connectedSocket(dst, unix.SOCK_DGRAM, timeout)
}

func connectedSocket(dst netip.AddrPort, kind int, timeout time.Duration) (int, error) {
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(dst.Port()), Addr: dst.Addr().Unmap().As4()})
	if dst.Addr().Is6() && !dst.Addr().Is4In6() {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(dst.Port()), Addr: dst.Addr().As16()}
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if timeout > 0 {
		tv := unix.NsecToTimeval(timeout.Nanoseconds())
		if err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	for {
		if err = unix.Connect(fd, sa); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// cmdAsk is what scripts wait with; it needs no other DNS client on the machine.
func cmdAsk(ctx context.Context, args []string) error {
	fs := newFlags("ask")
	dns := fs.String("dns", "127.0.0.1:53", "server, ADDR:PORT")
	qname := fs.String("qname", "kubernetes.default.svc.cluster.local.", "name")
	qtype := fs.String("qtype", "A", "type")
	netns := fs.String("netns", "", "ask from this network namespace")
	wait := fs.Float64("wait", 0, "ask again for so many seconds until the answer is NOERROR")
	parse(fs, args)
	q, err := packQuery(*qname, *qtype)
	if err != nil {
		return err
	}
	if *netns != "" {
		if err := enterNetns(*netns); err != nil {
			return err
		}
	} else {
		runtime.LockOSThread()
	}
	end := time.Now().Add(time.Duration(*wait * float64(time.Second)))
	// Who waits wants to know when, and a query that came too early is never answered.
	patience := time.Second
	if *wait > 0 {
		patience = 50 * time.Millisecond
	}
	for {
		out, ok, err := askOnce(*dns, q, patience)
		if ok || time.Now().After(end) || ctx.Err() != nil {
			if err != nil {
				return err
			}
			printJSON(out)
			if !ok {
				return fmt.Errorf("%s", out["rcode"])
			}
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func askOnce(server string, q []byte, patience time.Duration) (map[string]any, bool, error) {
	// A literal address is dialled on the calling thread, and so in its namespace.
	if _, err := netip.ParseAddrPort(server); err != nil {
		return nil, false, err
	}
	c, err := net.Dial("udp", server)
	if err != nil {
		return nil, false, err
	}
	defer c.Close()
	t := time.Now()
	_ = c.SetDeadline(t.Add(patience))
	q[0], q[1] = byte(t.UnixNano()>>8), byte(t.UnixNano())
	if _, err := c.Write(q); err != nil {
		return nil, false, err
	}
	buf := make([]byte, 65535)
	n, err := c.Read(buf)
	if err != nil {
		return nil, false, err
	}
	us := float64(time.Since(t).Nanoseconds()) / 1000
	var m dnsmessage.Message
	if err := m.Unpack(buf[:n]); err != nil {
		return nil, false, err
	}
	return map[string]any{
		"rcode": strings.TrimPrefix(m.RCode.String(), "RCode"), "answers": showRecords(m.Answers),
		"authoritative": m.Authoritative, "truncated": m.Truncated, "us": round3(us),
	}, m.RCode == dnsmessage.RCodeSuccess, nil
}

func showRecords(rs []dnsmessage.Resource) []string {
	out := []string{} // an empty list in JSON, not null
	for _, r := range rs {
		out = append(out, showRecord(r))
	}
	return out
}

func showRecord(r dnsmessage.Resource) string {
	head := fmt.Sprintf("%s %d %s ", r.Header.Name, r.Header.TTL, strings.TrimPrefix(r.Header.Type.String(), "Type"))
	switch b := r.Body.(type) {
	case *dnsmessage.AResource:
		return head + netip.AddrFrom4(b.A).String()
	case *dnsmessage.AAAAResource:
		return head + netip.AddrFrom16(b.AAAA).String()
	case *dnsmessage.CNAMEResource:
		return head + b.CNAME.String()
	case *dnsmessage.PTRResource:
		return head + b.PTR.String()
	case *dnsmessage.SRVResource:
		return head + fmt.Sprintf("%d %d %d %s", b.Priority, b.Weight, b.Port, b.Target)
	case *dnsmessage.TXTResource:
		return head + fmt.Sprintf("%q", b.TXT)
	}
	return head + "..."
}
