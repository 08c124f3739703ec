import { describe, expect, it } from 'vitest'
import { htmlToText } from './html-to-text'

describe('hidden text', () => {
  it.each([
    ['display', '<div style="display:none">secret</div>'],
    ['display in capitals with blanks', '<div style="DISPLAY : NONE !important">secret</div>'],
    ['display with a comment', '<div style="display:/* x */none">secret</div>'],
    ['display with a character reference', '<div style="display&#58;none">secret</div>'],
    ['display with a CSS escape', '<div style="d\\69 splay:none">secret</div>'],
    ['visibility', '<span style="visibility:hidden">secret</span>'],
    ['font-size 0', '<span style="font-size:0">secret</span>'],
    ['font-size 0px', '<span style="font-size: 0px">secret</span>'],
    ['font-size 0.0em', '<span style="font-size:0.0em">secret</span>'],
    ['font-size 1px', '<span style="font-size:1px">secret</span>'],
    ['font shorthand', '<span style="font:0/0 a">secret</span>'],
    ['opacity', '<p style="opacity:0.0">secret</p>'],
    ['the hidden attribute', '<p hidden>secret</p>'],
    ['white on white', '<p style="color:#ffffff">secret</p>'],
    ['nearly white on white', '<p style="color:rgb(254, 254, 254)">secret</p>'],
    ['font color', '<font color="white">secret</font>'],
    ['a background of the same colour', '<td bgcolor="#102030"><b style="color:#102030">secret</b></td>'],
    ['transparent letters', '<p style="color:rgba(0,0,0,0)">secret</p>'],
    ['off-screen position', '<p style="position:absolute; left:-9999px">secret</p>'],
    ['off-screen indent', '<p style="text-indent:-9999px">secret</p>'],
    ['no height', '<div style="max-height:0;overflow:hidden">secret</div>'],
    ['no room', '<div style="width:0px;height:0px;overflow:hidden">secret</div>'],
    ['clipping', '<div style="position:absolute;clip:rect(0 0 0 0)">secret</div>'],
    ['scaling', '<div style="transform:scale(0)">secret</div>'],
    ['a property of Word', '<p style="mso-hide:all">secret</p>'],
    ['a rule of a style sheet', '<style>.pre{display:none}</style><p class="x pre">secret</p>'],
    ['a rule for an id', '<style>p#pre { font-size:0 }</style><p id=pre>secret</p>'],
    ['an attribute without quotes', '<p style=display:none>secret</p>'],
    ['a parent', '<div style="display:none"><table><tr><td>secret</td></tr></table></div>'],
    ['a tag left open', '<p>seen</p><div style="display:none">secret'],
  ])('is set apart: %s', (_, html) => {
    const result = htmlToText(`<p>Hello</p>${html}`)
    expect(result.text).not.toContain('secret')
    expect(result.hidden_text).toContain('secret')
  })
  it.each([
    ['a comment', '<!-- secret -->'],
    ['a comment left open', '<!-- secret'],
    ['a style sheet', '<style>secret{}</style>'],
    ['a script', '<script>"secret"</script>'],
    ['a title', '<title>secret</title>'],
    ['a template', '<template>secret</template>'],
    ['an attribute', '<img alt="secret" title="secret">'],
  ])('is no text at all: %s', (_, html) => {
    const result = htmlToText(`<p>Hello</p>${html}`)
    expect(result).toMatchObject({ text: 'Hello', hidden_text: '' })
  })
})

describe('visible text', () => {
  it.each([
    ['white on a coloured cell', '<td bgcolor="#003366"><a style="color:#fff">seen</a></td>'],
    [
      'white on a coloured class',
      '<style>.btn{background:#036}</style><a class="btn" style="color:#fff">seen</a>',
    ],
    ['white on a picture', '<div style="background:url(x.png)"><p style="color:#fff">seen</p></div>'],
    ['hidden for screen readers only', '<p aria-hidden="true">seen</p>'],
    [
      'hidden on phones only',
      '<style>@media (max-width:600px){.d{display:none}}</style><p class="d">seen</p>',
    ],
    ['small', '<p style="font-size:9px;line-height:0">seen</p>'],
    ['in a scrolling box', '<div style="max-height:200px;overflow:hidden">seen</div>'],
    ['bold by a number', '<p style="font:100 12px Arial">seen</p>'],
    ['between stray end tags', '</div></p>seen</table>'],
  ])('stays: %s', (_, html) => {
    expect(htmlToText(html)).toMatchObject({ text: 'seen', hidden_text: '' })
  })
  it('keeps the shape of paragraphs, cells, lists and quotes', () => {
    const html =
      '<h1>Order</h1><table><tr><td>Name</td><td>Ada</td></tr></table><p>a<br>b &lt; c</p><blockquote>old<br>text</blockquote>'
    expect(htmlToText(html).text).toBe('Order\n\nName Ada\n\na\nb < c\n\n> old\n> text')
  })
  it('follows a hidden paragraph that has no end tag', () => {
    const result = htmlToText('<p style="display:none">x<p>seen')
    expect(result).toMatchObject({ text: 'seen', hidden_text: 'x' })
  })
  it('does not invent tags from a lone bracket', () => {
    expect(htmlToText('<p>1 < 2 and 3 <4</p>').text).toBe('1 < 2 and 3 <4')
  })
})

describe('hostile pages', () => {
  it.each([
    ['deep nesting', '<div>'.repeat(300_000)],
    ['deep quotes', '<blockquote>x'.repeat(100_000)],
    ['stray end tags', `${'<b>'.repeat(100_000)}${'</i>'.repeat(200_000)}`],
    ['open quotes', '<a b="'.repeat(200_000)],
    ['open comments', '<!--'.repeat(300_000)],
    ['open style sheets', '<style>'.repeat(200_000)],
    ['many rules', `<style>${'.a{color:red}'.repeat(100_000)}</style>`],
    ['tables in tables', '<table><tr><td>'.repeat(100_000)],
    ['brackets', '<'.repeat(1_000_000)],
    ['entities', '&amp;'.repeat(300_000)],
    ['long style attributes', `<p style="${'a:b;'.repeat(200_000)}">x`],
  ])('take little time: %s', (_, html) => {
    const started = performance.now()
    htmlToText(html)
    expect(performance.now() - started).toBeLessThan(3000)
  })
})
