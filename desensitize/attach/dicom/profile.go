package dicom

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

const pixelData = Tag(0x7FE0_0010)

// action is what happens to an attribute; what no entry names is removed.
type action byte

const (
	keep    action = 'K'
	empty   action = 'Z' // type 2: there, without a value
	replace action = 'U' // a UID, replaced consistently
	subject action = 'P' // the pseudonym
)

// profile is the list of what stays. It holds no date, no person, no place, no free text
// and no number of a device; each entry is not in table E.1-1 of PS3.15, or is there with
// an action that is followed here (Z, D, U).
var profile = map[Tag]action{
	// SOP common, general study, series and image
	0x0008_0005: keep /* SpecificCharacterSet */, 0x0008_0008: keep /* ImageType */, 0x0008_0016: keep, /* SOPClassUID */
	0x0008_0018: replace /* SOPInstanceUID */, 0x0008_0020: empty /* StudyDate */, 0x0008_0030: empty, /* StudyTime */
	0x0008_0050: empty /* AccessionNumber */, 0x0008_0060: keep /* Modality */, 0x0008_0064: keep, /* ConversionType */
	0x0008_0090: empty /* ReferringPhysicianName */, 0x0008_0023: empty /* ContentDate */, 0x0008_0033: empty, /* ContentTime */
	0x0020_000D: replace /* StudyInstanceUID */, 0x0020_000E: replace /* SeriesInstanceUID */, 0x0020_0010: empty, /* StudyID */
	0x0020_0011: keep /* SeriesNumber */, 0x0020_0013: keep /* InstanceNumber */, 0x0020_0052: replace, /* FrameOfReferenceUID */
	0x0020_0020: keep /* PatientOrientation */, 0x0020_0032: keep /* ImagePositionPatient */, 0x0020_0037: keep, /* ImageOrientationPatient */
	0x0020_0060: keep /* Laterality */, 0x0020_0062: keep /* ImageLaterality */, 0x0020_1002: keep, /* ImagesInAcquisition */
	0x0020_1040: empty /* PositionReferenceIndicator */, 0x0020_1041: keep, /* SliceLocation */
	// patient
	0x0010_0010: subject /* PatientName */, 0x0010_0020: subject /* PatientID */, 0x0010_0030: empty, /* PatientBirthDate */
	0x0010_0040: empty, /* PatientSex */
	// acquisition: physics of the picture
	0x0018_0015: keep /* BodyPartExamined */, 0x0018_0020: keep, 0x0018_0021: keep, 0x0018_0022: keep, 0x0018_0023: keep,
	0x0018_0050: keep /* SliceThickness */, 0x0018_0060: keep /* KVP */, 0x0018_0080: keep, 0x0018_0081: keep, 0x0018_0082: keep,
	0x0018_0083: keep, 0x0018_0084: keep, 0x0018_0085: keep, 0x0018_0086: keep, 0x0018_0087: keep, 0x0018_0088: keep, 0x0018_0091: keep,
	0x0018_0093: keep, 0x0018_0094: keep, 0x0018_0095: keep, 0x0018_0090: keep, 0x0018_1060: keep, 0x0018_1063: keep,
	0x0018_1100: keep /* ReconstructionDiameter */, 0x0018_1110: keep, 0x0018_1111: keep, 0x0018_1120: keep, 0x0018_1130: keep,
	0x0018_1140: keep, 0x0018_1150: keep /* ExposureTime */, 0x0018_1151: keep /* XRayTubeCurrent */, 0x0018_1152: keep, /* Exposure */
	0x0018_1164: keep /* ImagerPixelSpacing */, 0x0018_1170: keep, 0x0018_1190: keep, 0x0018_1314: keep, 0x0018_5100: keep, /* PatientPosition */
	0x0018_5101: keep, /* ViewPosition */
	// image pixel, modality LUT, VOI LUT
	0x0028_0002: keep, 0x0028_0003: keep, 0x0028_0004: keep, 0x0028_0006: keep, 0x0028_0008: keep, 0x0028_0009: keep, 0x0028_0010: keep,
	0x0028_0011: keep, 0x0028_0030: keep, 0x0028_0034: keep, 0x0028_0100: keep, 0x0028_0101: keep, 0x0028_0102: keep, 0x0028_0103: keep,
	0x0028_0106: keep, 0x0028_0107: keep, 0x0028_0120: keep, 0x0028_0301: keep /* BurnedInAnnotation */, 0x0028_1050: keep, 0x0028_1051: keep,
	0x0028_1052: keep, 0x0028_1053: keep, 0x0028_1054: keep, 0x0028_1101: keep, 0x0028_1102: keep, 0x0028_1103: keep, 0x0028_1201: keep,
	0x0028_1202: keep, 0x0028_1203: keep, 0x0028_2110: keep, 0x0028_2112: keep, 0x0028_2114: keep,
}

// burnsIn are modalities whose pictures usually show who is on them: ultrasound, endoscopy,
// secondary captures, documents, screenshots and digitised film.
var burnsIn = map[string]bool{"US": true, "ES": true, "OT": true, "SC": true, "DOC": true, "XC": true, "RF": true, "ECG": true, "HD": true, "IVUS": true, "SR": true}

// vrs are the VRs of the attributes that this package writes itself.
var vrs = map[Tag]string{
	0x0008_0018: "UI", 0x0008_0020: "DA", 0x0008_0030: "TM", 0x0008_0023: "DA", 0x0008_0033: "TM", 0x0008_0050: "SH", 0x0008_0090: "PN",
	0x0020_000D: "UI", 0x0020_000E: "UI", 0x0020_0010: "SH", 0x0020_0052: "UI", 0x0020_1040: "LO",
	0x0010_0010: "PN", 0x0010_0020: "LO", 0x0010_0030: "DA", 0x0010_0040: "CS",
	0x0012_0062: "CS", 0x0012_0063: "LO",
	0x0002_0001: "OB", 0x0002_0000: "UL", 0x0002_0002: "UI", 0x0002_0003: "UI", 0x0002_0010: "UI", 0x0002_0012: "UI",
}

// implementation is the class UID that says which program wrote the file: an arbitrary UUID
// under 2.25 (PS3.5 annex B.2).
const implementation = "2.25.180221934011285926731440295827436614077"

type writer struct {
	syntax  syntax
	options Options
	out     []byte
	result  Result
	pixels  bool // pixel data stays
}

// dataSet writes what stays, in the order of tags, with the mark of de-identification
// (0012,0062) and (0012,0063) where it belongs.
func (w *writer) dataSet(elements []element) {
	w.pixels = w.mayShow(elements)
	slices.SortStableFunc(elements, func(a, b element) int { return cmp.Compare(a.tag, b.tag) })
	marked := false
	for _, e := range elements {
		if !marked && e.tag > 0x0012_0063 {
			w.mark()
			marked = true
		}
		switch {
		case e.tag == 0x0012_0062 || e.tag == 0x0012_0063:
		case e.tag == pixelData && w.pixels:
			w.out = append(w.out, e.raw...)
			w.result.Pixels = true
		default:
			w.element(e)
		}
	}
	if !marked {
		w.mark()
	}
}

// mayShow decides whether pixel data may stay.
func (w *writer) mayShow(elements []element) bool {
	if !w.options.Pixels {
		return false
	}
	modality, burned := "", ""
	for _, e := range elements {
		switch e.tag {
		case 0x0008_0060:
			modality = text(e.value)
		case 0x0028_0301:
			burned = text(e.value)
		}
	}
	return burned == "NO" || burned == "" && modality != "" && !burnsIn[modality]
}

func (w *writer) element(e element) {
	do, listed := profile[e.tag]
	switch {
	case !listed || do == keep && !w.plain(e):
		w.result.Removed++
	case do == keep:
		w.out = append(w.out, e.raw...)
		w.result.Kept++
	case do == replace:
		w.write(e.tag, w.uid(text(e.value)))
		w.result.Removed++
	case do == subject:
		w.write(e.tag, w.options.Subject)
		w.result.Removed++
	default:
		w.write(e.tag, "")
		w.result.Removed++
	}
}

// plain reports that the value of an attribute to keep is of the kind it should be, so that
// nobody can hide a name or a number there: coded strings, numbers with few digits, UIDs of
// the standard, short binary numbers, and lookup tables only beside the pixels they are for.
func (w *writer) plain(e element) bool {
	switch {
	case e.open || len(e.value) > maxValue:
		return false
	case e.tag == 0x0008_0016:
		return strings.HasPrefix(text(e.value), standardUIDs)
	case e.tag >= 0x0028_1101 && e.tag <= 0x0028_1203:
		return w.pixels
	case binaryTags[e.tag]:
		return len(e.value) <= 8
	}
	return plainText(e.value)
}

// plainText reports a coded string or decimal numbers with at most seven digits before the
// point.
func plainText(value []byte) bool {
	run, fraction := 0, false
	for _, c := range value {
		switch {
		case c >= '0' && c <= '9':
			if !fraction {
				run++
			}
		case c == '.':
			fraction = true
		case c >= 'A' && c <= 'Z', strings.IndexByte(" _+-\\e\x00", c) >= 0:
			run, fraction = 0, false
		default:
			return false
		}
		if run > 7 {
			return false
		}
	}
	return true
}

// standardUIDs is the root of the UIDs that the standard itself assigns.
const standardUIDs = "1.2.840.10008."

// binaryTags are the attributes of the list whose values are binary numbers (US, SS, AT).
var binaryTags = map[Tag]bool{
	0x0028_0002: true, 0x0028_0003: true, 0x0028_0006: true, 0x0028_0009: true, 0x0028_0010: true, 0x0028_0011: true, 0x0028_0100: true,
	0x0028_0101: true, 0x0028_0102: true, 0x0028_0103: true, 0x0028_0106: true, 0x0028_0107: true, 0x0028_0120: true, 0x0018_1310: true,
}

func (w *writer) uid(value string) string {
	if value == "" {
		return ""
	}
	return w.options.UID(value)
}

func (w *writer) mark() {
	w.write(0x0012_0062, "YES")
	w.write(0x0012_0063, "PS3.15 Basic Profile, stricter list")
}

func (w *writer) write(t Tag, value string) {
	w.out = appendElement(w.out, w.syntax, t, []byte(value))
}

// appendElement writes an attribute of table vrs, padded to an even length (PS3.5 §6.2).
func appendElement(dst []byte, s syntax, t Tag, value []byte) []byte {
	vr := vrs[t]
	if len(value)%2 == 1 {
		pad := byte(' ')
		if vr == "UI" || vr == "OB" {
			pad = 0
		}
		value = append(slices.Clone(value), pad)
	}
	order := s.order.(binary.AppendByteOrder)
	dst = order.AppendUint16(dst, uint16(t>>16))
	dst = order.AppendUint16(dst, uint16(t))
	switch {
	case !s.explicit:
		dst = order.AppendUint32(dst, uint32(len(value)))
	case longVR[vr]:
		dst = append(append(dst, vr...), 0, 0)
		dst = order.AppendUint32(dst, uint32(len(value)))
	default:
		dst = append(dst, vr...)
		dst = order.AppendUint16(dst, uint16(len(value)))
	}
	return append(dst, value...)
}

// meta writes new file meta information: nothing of the old one stays but the class of the
// object and the transfer syntax.
func (w *writer) meta(old map[Tag]element, transfer string) []byte {
	var body []byte
	add := func(t Tag, value string) { body = appendElement(body, explicitLittle, t, []byte(value)) }
	add(0x0002_0001, "\x00\x01")
	add(0x0002_0002, text(old[0x0002_0002].value))
	add(0x0002_0003, w.uid(text(old[0x0002_0003].value)))
	add(0x0002_0010, transfer)
	add(0x0002_0012, implementation)
	var length [4]byte
	binary.LittleEndian.PutUint32(length[:], uint32(len(body)))
	return append(appendElement(nil, explicitLittle, 0x0002_0000, length[:]), body...)
}
