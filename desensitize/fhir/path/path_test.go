package path_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/desensitize/fhir/path"
)

const patient = `{"resourceType":"Patient","id":"p1","active":true,"gender":"male","birthDate":"1950-03-04","deceasedDateTime":"2020-01-01T10:00:00Z","multipleBirthInteger":2,
	"name":[{"use":"official","family":"A","given":["B","C"]},{"use":"usual","family":"D"}],
	"identifier":[{"type":{"coding":[{"system":"s","code":"MR"},{"system":"s","code":"XX"}]},"value":"1"}],
	"contact":[{"name":{"family":"E"}}]}`

func item(t testing.TB, s string) path.Item {
	t.Helper()
	n, err := fhir.Parse([]byte(s), fhir.Limits{})
	require.NoError(t, err)
	return path.ResourceItem(n)
}

func TestHolds(t *testing.T) {
	root := item(t, patient)
	for in, want := range map[string]bool{
		"active": true, "active.not()": false, "gender = 'male'": true, "gender != 'male'": false, "Patient.gender = 'male'": true, "Resource.id = 'p1'": true,
		"name.exists()": true, "name.empty()": false, "photo.exists()": false, "name.where(use = 'usual').family = 'D'": true, "name.exists(family = 'Z')": false,
		"name.count() = 2": true, "name[0].given.count() = 2": true, "name.given.first() = 'B'": true, "name.family.last() = 'D'": true, "name[5].exists()": false,
		"identifier.where(type.coding.where(system = 's' and code = 'MR').exists()).value = '1'": true, "identifier.type.coding.code = 'MR'": true,
		"deceased is dateTime": true, "deceased is boolean": false, "deceased.exists()": true, "multipleBirth > 1": true, "multipleBirth + 1 = 3": true, "multipleBirth * 2 - 1 >= 3": true, "5 mod 3 = 2": true, "7 div 2 = 3": true, "1 / 0 = 1": false, "-1 < 0": true,
		"birthDate <= @1950-03-04": true, "birthDate > @1949": true, "birthDate > @1950": false, "deceased < @2020-01-01T12:00:00Z": true,
		"gender in ('male' | 'other')": true, "('x' | 'y') contains gender": false, "gender.startsWith('ma')": true, "gender.endsWith('le')": true, "gender.contains('al')": true, "gender.matches('^m.*e$')": true,
		"gender.length() = 4": true, "gender.upper() = 'MALE'": true, "gender.substring(1, 2) = 'al'": true, "gender.indexOf('l') = 2": true, "gender.replace('ma', 'fema') = 'female'": true, "id.toString() + '!' = 'p1!'": true, "gender & 'x' = 'malex'": true,
		"true and not(false)": false, "true or false": true, "true xor true": false, "false implies false": true, "iif(active, 'y', 'n') = 'y'": true, "name.all(family.exists())": true,
		"$this is Patient": true, "$this is Resource": true, "%resource.id = 'p1'": true, "name.ofType(HumanName).exists()": true, "children().exists()": true, "name.family.distinct().count() = 2": true, "'2'.toInteger() = 2": true, "' x '.trim() = 'x'": true, "gender.hasValue()": true,
	} {
		e, err := path.Compile(in)
		if in == "true and not(false)" {
			require.Error(t, err, "not() needs something before it")
			continue
		}
		require.NoError(t, err, in)
		got, err := e.Holds(root, root)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
		require.Equal(t, in, e.String())
	}
}

func TestText(t *testing.T) {
	root := item(t, patient)
	birth := path.Children(root, "birthDate")[0]
	for in, want := range map[string]string{
		"$this.toString().replaceMatches('(?<y>\\\\d{4})-(?<m>\\\\d{2})-\\\\d{2}', '${y}-${m}')": "1950-03", "'en'": "en", "@2000-01-01": "2000-01-01", "1": "1", "1.50 + 1": "2.5", "$this": "1950-03-04", "true": "true",
		"$this.toString().substring(0,2) + '**'": "19**",
	} {
		e, err := path.Compile(in)
		require.NoError(t, err, in)
		got, ok, err := e.Text(birth, root)
		require.NoError(t, err, in)
		require.True(t, ok, in)
		require.Equal(t, want, got, in)
	}
	e, err := path.Compile("name.family")
	require.NoError(t, err)
	_, _, err = e.Text(root, root)
	require.ErrorIs(t, err, path.ErrEvaluate)
}

func TestRefused(t *testing.T) {
	for _, in := range []string{"", "a..b", "a(", "a)", "a =", "'a", "a b", "today()", "a.where()", "a.where(b", "$index", "a && b", "a.matches('(')", "a[", "#", "a is", "@", strings.Repeat("(", 99), strings.Repeat("-", 99) + "1", strings.Repeat("a", path.MaxLength+1), strings.Repeat("9", 99)} {
		_, err := path.Compile(in)
		if in == "@" {
			require.NoError(t, err, "a date that nothing equals")
			continue
		}
		require.Error(t, err, in)
	}
}

func TestEvaluateErrors(t *testing.T) {
	root := item(t, patient)
	for _, in := range []string{"gender >= 0", "name.family.length() = 1", "name and true", "name.family > 'A'", "name.toString() = 'x'", "gender.substring('a') = 'x'", "active + 1 = 2", "name[gender].exists()"} {
		e, err := path.Compile(in)
		require.NoError(t, err, in)
		_, err = e.Holds(root, root)
		require.ErrorIs(t, err, path.ErrEvaluate, in)
		require.NotContains(t, err.Error(), "male")
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"name.where(use = 'usual').family = 'D'", "$this in ('a' | 'b')", "@2020 < birthDate and 1.5 * 2 > 3", "`a`.is(Age)", "iif(true, 1, 2)", "'a'.replaceMatches('b', 'c')"} {
		f.Add(s)
	}
	root := item(f, patient)
	f.Fuzz(func(_ *testing.T, s string) {
		if e, err := path.Compile(s); err == nil {
			_, _ = e.Holds(root, root)
			_, _, _ = e.Text(root, root)
		}
	})
}
