package tunnel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"

	"github.com/moby/spdystream/spdy"
	corev1 "k8s.io/api/core/v1"
)

// The part of SPDY/3.1 that a port-forward needs: two streams, opened by us,
// and pings. Flow control is not in use: neither side of Kubernetes sends or
// heeds WINDOW_UPDATE.
const (
	errorStream = 1
	dataStream  = 3

	frameHeader = 8
	// maxData is the most that one data frame of ours carries: with its header
	// it fits into one WebSocket frame.
	maxData = 32 << 10

	flagFin     = 0x01
	controlBit  = 0x80
	controlHead = 0x8003

	typeRstStream = 3
	typePing      = 6

	// pingSize and rstSize are the lengths of these frames after the header.
	pingSize = 4
	rstSize  = 8

	// serverQueues is the number of queues in which the server's library,
	// moby/spdystream, handles frames: a stream always has the same one,
	// pings go round all of them. When as many pings in a row are answered,
	// all data that was sent before them has been handed over.
	serverQueues = 5
)

// openStreams returns the frames that open the two streams of a connection to
// a port: the one for the node's error text, which we end at once, and the one
// for data.
func openStreams(port int) ([]byte, error) {
	var frames bytes.Buffer
	framer, err := spdy.NewFramer(&frames, nil)
	if err != nil {
		return nil, fmt.Errorf("opening streams: %w", err)
	}
	open := func(id spdy.StreamId, kind string, flags spdy.ControlFlags) error {
		header := http.Header{}
		header.Set(corev1.StreamType, kind)
		header.Set(corev1.PortHeader, strconv.Itoa(port))
		header.Set(corev1.PortForwardRequestIDHeader, "0")
		return framer.WriteFrame(&spdy.SynStreamFrame{
			CFHeader: spdy.ControlFrameHeader{Flags: flags},
			StreamId: id,
			Headers:  header,
		})
	}
	if err := open(errorStream, corev1.StreamTypeError, spdy.ControlFlagFin); err != nil {
		return nil, fmt.Errorf("opening the error stream: %w", err)
	}
	if err := open(dataStream, corev1.StreamTypeData, 0); err != nil {
		return nil, fmt.Errorf("opening the data stream: %w", err)
	}
	return frames.Bytes(), nil
}

// putDataHeader writes the header of a data frame with n bytes.
func putDataHeader(b []byte, flags byte, n int) {
	binary.BigEndian.PutUint32(b, dataStream)
	binary.BigEndian.PutUint32(b[4:], uint32(flags)<<24|uint32(n))
}

// appendPing appends a ping frame: a new one of ours has an odd id, an answer
// the id of the question.
func appendPing(b []byte, id uint32) []byte {
	b = binary.BigEndian.AppendUint16(b, controlHead)
	b = binary.BigEndian.AppendUint16(b, typePing)
	b = binary.BigEndian.AppendUint32(b, pingSize)
	return binary.BigEndian.AppendUint32(b, id)
}

// farewell returns the frames that end the data stream and ask the server to
// tell when it has handled everything before.
func farewell() []byte {
	b := make([]byte, frameHeader)
	putDataHeader(b, flagFin, 0)
	for i := range uint32(serverQueues) {
		b = appendPing(b, 2*i+1)
	}
	return b
}

// frame is the header of a frame that was received.
type frame struct {
	// control is true for a control frame, of the given kind; else it is data
	// for a stream.
	control bool
	kind    uint16
	stream  uint32
	flags   byte
	length  int
}

func parseFrame(b []byte) frame {
	f := frame{flags: b[4], length: int(binary.BigEndian.Uint32(b[4:]) & 0xffffff)}
	if f.control = b[0]&controlBit != 0; f.control {
		f.kind = binary.BigEndian.Uint16(b[2:])
	} else {
		f.stream = binary.BigEndian.Uint32(b)
	}
	return f
}
