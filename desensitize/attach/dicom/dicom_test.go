package dicom_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize/attach/dicom"
)

const (
	explicitLittle = "1.2.840.10008.1.2.1"
	implicitLittle = "1.2.840.10008.1.2"
	explicitBig    = "1.2.840.10008.1.2.2"
	jpeg           = "1.2.840.10008.1.2.4.50"
)

// builder writes DICOM files.
type builder struct {
	bytes.Buffer
	explicit bool
	order    binary.AppendByteOrder
}

func (b *builder) add(tag uint32, vr, value string) {
	if len(value)%2 == 1 {
		value += map[bool]string{true: "\x00", false: " "}[vr == "UI"]
	}
	out := b.order.AppendUint16(nil, uint16(tag>>16))
	out = b.order.AppendUint16(out, uint16(tag))
	switch {
	case !b.explicit:
		out = b.order.AppendUint32(out, uint32(len(value)))
	case slices.Contains([]string{"OB", "OW", "SQ", "UN", "UT"}, vr):
		out = append(append(out, vr...), 0, 0)
		out = b.order.AppendUint32(out, uint32(len(value)))
	default:
		out = append(out, vr...)
		out = b.order.AppendUint16(out, uint16(len(value)))
	}
	b.Write(append(out, value...))
}

// identified are attributes of table E.1-1 of PS3.15, each holding an identifier.
var identified = []struct {
	tag   uint32
	vr    string
	value string
}{
	{0x0008_0080, "LO", "南京市第九人民医院"}, {0x0008_0081, "ST", "中山路321号"}, {0x0008_0090, "PN", "钱学文"}, {0x0008_0050, "SH", "ZY0012345"},
	{0x0008_1030, "LO", "王晓明 CT"}, {0x0008_1048, "PN", "钱学文"}, {0x0008_1050, "PN", "钱学文"}, {0x0008_1070, "PN", "钱学文"}, {0x0008_1010, "SH", "STATION9"},
	{0x0010_0010, "PN", "王晓明"}, {0x0010_0020, "LO", "ZY0012345"}, {0x0010_0030, "DA", "19850305"}, {0x0010_1000, "LO", "320106198503051237"},
	{0x0010_1040, "LO", "中山路321号"}, {0x0010_2154, "SH", "13851234567"}, {0x0010_4000, "LT", "王晓明"}, {0x0010_21B0, "LT", "王晓明"},
	{0x0009_0010, "LO", "PRIVATE"}, {0x0009_1001, "LO", "王晓明"}, {0x0018_1030, "LO", "王晓明"}, {0x0018_1000, "LO", "SN12345678"},
	{0x0020_4000, "LT", "王晓明"}, {0x0032_1032, "PN", "钱学文"}, {0x0040_0275, "SQ", ""}, {0x0040_A730, "UT", "王晓明"}, {0x0008_0020, "DA", "20260102"}, {0x0008_0012, "DA", "20260102"},
	{0x0018_0015, "CS", "王晓明"}, {0x0020_0011, "IS", "13851234567"}, {0x0008_0060, "CS", "CT"},
}

func file(transfer string, more func(*builder)) []byte {
	meta := &builder{explicit: true, order: binary.LittleEndian}
	meta.add(0x0002_0002, "UI", "1.2.840.10008.5.1.4.1.1.2")
	meta.add(0x0002_0003, "UI", "1.2.3.4.5")
	meta.add(0x0002_0010, "UI", transfer)
	meta.add(0x0002_0016, "AE", "王晓明")
	b := &builder{explicit: transfer != implicitLittle, order: binary.LittleEndian}
	if transfer == explicitBig {
		b.order = binary.BigEndian
	}
	b.add(0x0008_0018, "UI", "1.2.3.4.5")
	for _, e := range identified {
		b.add(e.tag, e.vr, e.value)
	}
	b.add(0x0020_000D, "UI", "1.2.3.4")
	b.add(0x0028_0010, "US", "\x10\x00")
	if more != nil {
		more(b)
	}
	preamble := append([]byte("王晓明"), make([]byte, 128-len("王晓明"))...)
	return append(append(append(preamble, "DICM"...), meta.Bytes()...), b.Bytes()...)
}

func options() dicom.Options {
	return dicom.Options{UID: func(v string) string { return "2.25.99" + v[len(v)-1:] }, Subject: "subject7"}
}

func pixels(b *builder) { b.add(0x7FE0_0010, "OW", "PIXELS王晓明") }

func TestNoIdentifierStays(t *testing.T) {
	for _, transfer := range []string{explicitLittle, implicitLittle, explicitBig, jpeg} {
		in := file(transfer, pixels)
		r, err := dicom.Deidentify(in, options())
		require.NoError(t, err, transfer)
		require.False(t, r.Pixels)
		for _, e := range identified {
			if len(e.value) > 2 {
				require.NotContains(t, string(r.Data), e.value, "%s %08x", transfer, e.tag)
			}
		}
		require.NotContains(t, string(r.Data), "1.2.3.4")
		values := map[string]string{}
		hasPixels, err := dicom.Values(r.Data, func(tag, v string) { values[tag] = v })
		require.NoError(t, err)
		require.False(t, hasPixels)
		require.Equal(t, "YES", values["(0012,0062)"])
		require.Equal(t, "subject7", values["(0010,0010)"])
		require.Equal(t, "subject7", values["(0010,0020)"])
		require.Equal(t, "2.25.995", values["(0008,0018)"])
		require.Equal(t, "2.25.994", values["(0020,000D)"])
		require.Equal(t, "2.25.995", values["(0002,0003)"])
		require.Equal(t, "CT", values["(0008,0060)"])
		require.Contains(t, values, "(0010,0030)")
		require.Empty(t, values["(0010,0030)"])
		again, err := dicom.Deidentify(r.Data, options())
		require.NoError(t, err, "the result is a DICOM file")
		require.True(t, dicom.Is(again.Data))
	}
}

func TestPixels(t *testing.T) {
	o := options()
	o.Pixels = true
	for name, c := range map[string]struct {
		more func(*builder)
		want bool
	}{
		"computed tomography":            {pixels, true},
		"annotations burned in":          {func(b *builder) { b.add(0x0028_0301, "CS", "YES"); pixels(b) }, false},
		"ultrasound":                     {func(b *builder) { b.add(0x0008_0060, "CS", "US"); pixels(b) }, false},
		"ultrasound without annotations": {func(b *builder) { b.add(0x0008_0060, "CS", "US"); b.add(0x0028_0301, "CS", "NO"); pixels(b) }, true},
	} {
		r, err := dicom.Deidentify(file(explicitLittle, c.more), o)
		require.NoError(t, err, name)
		require.Equal(t, c.want, r.Pixels, name)
		require.Equal(t, c.want, bytes.Contains(r.Data, []byte("PIXELS")), name)
	}
}

func TestSequencesOfUndefinedLength(t *testing.T) {
	in := file(explicitLittle, func(b *builder) {
		b.Write([]byte{0x40, 0x00, 0x75, 0x02, 'S', 'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF})
		b.Write([]byte{0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF})
		b.add(0x0010_0010, "PN", "欧阳丽华")
		b.Write([]byte{0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0})
		b.Write([]byte{0xE0, 0x7F, 0x10, 0x00, 'O', 'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF})
		b.Write([]byte{0xFE, 0xFF, 0x00, 0xE0, 4, 0, 0, 0, 1, 2, 3, 4, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0})
	})
	r, err := dicom.Deidentify(in, options())
	require.NoError(t, err)
	require.NotContains(t, string(r.Data), "欧阳丽华")
}

func TestRefused(t *testing.T) {
	_, err := dicom.Deidentify([]byte("DICM"), options())
	require.ErrorIs(t, err, dicom.ErrSyntax)
	_, err = dicom.Deidentify(file("1.2.840.10008.1.2.1.99", nil), options())
	require.ErrorIs(t, err, dicom.ErrUnsupported)
	_, err = dicom.Deidentify(file("9.9.9", nil), options())
	require.ErrorIs(t, err, dicom.ErrUnsupported)
	whole := file(explicitLittle, nil)
	_, err = dicom.Deidentify(whole[:len(whole)-1], options())
	require.ErrorIs(t, err, dicom.ErrSyntax)
}

func FuzzDeidentify(f *testing.F) {
	for _, transfer := range []string{explicitLittle, implicitLittle, explicitBig, jpeg} {
		f.Add(file(transfer, pixels))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := dicom.Deidentify(data, options())
		if err == nil {
			_, err = dicom.Values(r.Data, func(string, string) {})
			require.NoError(t, err)
		}
	})
}
