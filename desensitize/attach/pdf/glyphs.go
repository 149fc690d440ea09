package pdf

import "strings"

// glyphNames are the names of the Latin glyphs of ISO 32000-1, annex D, that are not a
// single letter.
var glyphNames = func() map[string]string {
	out := map[string]string{}
	pairs := strings.Fields(`exclam ! quotedbl " numbersign # dollar $ percent % ampersand & quotesingle '
parenleft ( parenright ) asterisk * plus + comma , hyphen - minus − period . slash / zero 0 one 1 two 2 three 3
four 4 five 5 six 6 seven 7 eight 8 nine 9 colon : semicolon ; less < equal = greater > question ? at @
bracketleft [ backslash \ bracketright ] asciicircum ^ underscore _ grave ` + "`" + ` braceleft { bar | braceright }
asciitilde ~ quoteleft ‘ quoteright ’ quotedblleft “ quotedblright ” quotesinglbase ‚ quotedblbase „ bullet •
endash – emdash — ellipsis … dagger † daggerdbl ‡ perthousand ‰ guilsinglleft ‹ guilsinglright › fi fi fl fl
Euro € trademark ™ copyright © registered ® degree ° plusminus ± multiply × divide ÷ periodcentered · section §
paragraph ¶ cent ¢ sterling £ yen ¥ currency ¤ brokenbar ¦ dieresis ¨ ordfeminine ª guillemotleft « guillemotright »
logicalnot ¬ macron ¯ acute ´ mu µ cedilla ¸ ordmasculine º onesuperior ¹ twosuperior ² threesuperior ³
onequarter ¼ onehalf ½ threequarters ¾ exclamdown ¡ questiondown ¿ germandbls ß dotlessi ı florin ƒ
Agrave À Aacute Á Acircumflex Â Atilde Ã Adieresis Ä Aring Å AE Æ Ccedilla Ç Egrave È Eacute É Ecircumflex Ê
Edieresis Ë Igrave Ì Iacute Í Icircumflex Î Idieresis Ï Eth Ð Ntilde Ñ Ograve Ò Oacute Ó Ocircumflex Ô Otilde Õ
Odieresis Ö Oslash Ø Ugrave Ù Uacute Ú Ucircumflex Û Udieresis Ü Yacute Ý Thorn Þ agrave à aacute á acircumflex â
atilde ã adieresis ä aring å ae æ ccedilla ç egrave è eacute é ecircumflex ê edieresis ë igrave ì iacute í
icircumflex î idieresis ï eth ð ntilde ñ ograve ò oacute ó ocircumflex ô otilde õ odieresis ö oslash ø ugrave ù
uacute ú ucircumflex û udieresis ü yacute ý thorn þ ydieresis ÿ OE Œ oe œ Scaron Š scaron š Zcaron Ž zcaron ž
Ydieresis Ÿ Lslash Ł lslash ł lessequal ≤ greaterequal ≥ notequal ≠ infinity ∞ alpha α beta β gamma γ delta δ`)
	for i := 0; i+1 < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	out["space"], out["nbspace"] = " ", " "
	return out
}()
