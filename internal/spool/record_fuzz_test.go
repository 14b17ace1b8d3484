package spool_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/spool"
)

const mark = 0x1122334455667788

func FuzzScanRecords(f *testing.F) {
	e := spool.Entry{Key: "k", Digest: "d", Received: time.Unix(1, 2), Meta: []byte("m"), Body: []byte("b"), Sequence: 7}
	good := spool.EncodeRecord(e, mark)
	f.Add(good)
	f.Add(append(spool.EncodeDone([]uint64{1, 2}, mark), good...))
	f.Add(good[:len(good)-1])
	f.Add(binary.LittleEndian.AppendUint64(nil, mark))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, end, damaged, err := spool.ScanRecords(b, mark)
		require.NoError(t, err)
		require.LessOrEqual(t, end, int64(len(b)))
		require.LessOrEqual(t, damaged, end)
		for _, e := range entries {
			again, _, _, err := spool.ScanRecords(spool.EncodeRecord(e, mark), mark)
			require.NoError(t, err)
			require.Equal(t, []spool.Entry{e}, again)
		}
		// A whole record is found again after any garbage.
		with, _, _, err := spool.ScanRecords(append(append([]byte{}, b...), good...), mark)
		require.NoError(t, err)
		if len(b) < 8 {
			require.NotEmpty(t, with)
		}
		_, _, _ = spool.DecodeRefusal(b)
	})
}

func TestABodyThatHoldsARecordIsNotReadAsOne(t *testing.T) {
	inner := spool.EncodeRecord(spool.Entry{Key: "forged"}, mark+1)
	outer := spool.EncodeRecord(spool.Entry{Key: "real", Body: inner}, mark)
	entries, _, _, err := spool.ScanRecords(outer[:len(outer)-1], mark)
	require.NoError(t, err)
	require.Empty(t, entries)
}
