(function () {
  // j and k go from partner to partner, Enter opens the page of the one in focus, / goes to the search.
  function links() {
    return Array.prototype.filter.call(document.querySelectorAll('td.name a, ul.todo .who a'), function (link) {
      return link.getClientRects().length > 0;
    });
  }
  document.addEventListener('keydown', function (event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (event.key === '/') {
      var box = document.querySelector('input[type=search]');
      if (box) { box.focus(); event.preventDefault(); }
    } else if (event.key === 'j' || event.key === 'k') {
      var all = links(), at = all.indexOf(document.activeElement);
      var next = event.key === 'j' ? at + 1 : Math.max(at, 1) - 1;
      if (all[next]) { all[next].focus(); event.preventDefault(); }
    }
  });
})();
