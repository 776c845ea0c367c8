(function () {
  var table = document.getElementById('partners'), place = document.getElementById('search');
  if (!table || !place) return;
  var body = table.tBodies[0], rows = Array.prototype.slice.call(body.rows);
  if (!document.querySelector('form.search')) addSearch();
  function addSearch() {
    var box = document.createElement('input');
    box.type = 'search';
    box.placeholder = 'Search this page';
    box.setAttribute('aria-label', box.placeholder);
    place.appendChild(box);
    var count = document.createElement('span');
    count.className = 'visually-hidden';
    count.setAttribute('role', 'status');
    place.appendChild(count);
    box.addEventListener('input', function () {
      var wanted = box.value.toLowerCase();
      var shown = 0;
      rows.forEach(function (row) {
        row.hidden = row.textContent.toLowerCase().indexOf(wanted) < 0;
        if (!row.hidden) shown++;
      });
      count.textContent = shown + ' of ' + rows.length + ' shown';
    });
  }
  function key(row, i) {
    var text = row.cells[i].textContent.trim(), number = parseFloat(text.replace(/,/g, '').replace('\u2212', '-'));
    return isNaN(number) ? text.toLowerCase() : number;
  }
  Array.prototype.forEach.call(table.tHead.rows[0].cells, function (head, i) {
    var word = head.textContent.replace(/ [\u25be\u25b4]$/, '');
    if (!word || word === 'Trend' || word === 'Since') return;
    var button = document.createElement('button');
    button.type = 'button';
    button.textContent = head.textContent;
    head.textContent = '';
    head.appendChild(button);
    var down = false;
    button.addEventListener('click', function () {
      down = !down;
      rows.sort(function (a, b) {
        var x = key(a, i), y = key(b, i);
        if (typeof x !== typeof y) return typeof x === 'number' ? -1 : 1;
        return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
      });
      rows.forEach(function (row) { body.appendChild(row); });
      Array.prototype.forEach.call(table.tHead.querySelectorAll('button'), function (other) {
        other.textContent = other.textContent.replace(/ [\u25be\u25b4]$/, '');
        other.parentNode.classList.remove('sorted');
        other.parentNode.removeAttribute('aria-sort');
      });
      button.textContent = word + (down ? ' \u25be' : ' \u25b4');
      head.classList.add('sorted');
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    });
  });
})();
